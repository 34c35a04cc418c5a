import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { type DeviceSelector, openDevice } from "../../../src/index.js"
import { double, skip } from "../../cuda/double.js"
import { unsanitized } from "../../support/races.js"
import { Checks } from "./check.js"
import { programOf } from "./generate.js"
import type { Program } from "./program.js"
import { type Counts, noCounts } from "./run/judge.js"
import { World } from "./run/world.js"

/** How many random programs each device runs. The README says how to run many more. */
const most = Number(process.env["AUXSTREAM_PROGRAMS"] ?? 50)

type Check = (checks: Checks, worlds: readonly World[], program: Program, counts: Counts) => Promise<unknown>

const reports: Check = (checks, ...rest) => checks.reports(...rest)

async function run(
  devices: readonly DeviceSelector[],
  check: Check,
  count: number,
  { first = 1, isKept = false } = {},
): Promise<Counts> {
  const open = devices.map((id) => (id === "host" ? openDevice(id, { threads: 2 }) : openDevice(id)))
  const worlds = open.map((device, number) => new World(device, number))
  const counts = noCounts()
  const checks = new Checks(isKept)
  try {
    for (let seed = first; seed < first + count; seed++) {
      await check(checks, worlds, programOf(seed), counts).catch((error: unknown) => {
        throw new Error(`with seed ${seed} on ${devices.join(" and ")}`, { cause: error })
      })
    }
  } finally {
    checks.end()
    for (const world of worlds) world[Symbol.dispose]()
    for (const device of open) device.dispose()
  }
  return counts
}

const onHost = ["host"] as const
const onDouble = [["cuda:0"], ["host", "cuda:0"], ["cuda:0", "cuda:1"]] as const

describe("§13 random programs under the sanitizer", unsanitized, () => {
  if (skip === false) double.setDevices(2)

  for (const [place, devices] of [onHost, ...onDouble].entries()) {
    const needs = devices === onHost ? {} : { skip }
    test(`every race is reported, and nothing else, on ${devices.join(" and ")}`, needs, async () => {
      const counts = await run(devices, reports, most, { first: 1 + place * most })
      assert.ok(counts.races > most && counts.reports >= counts.races, JSON.stringify(counts))
    })
  }

  test("a sanitizer that has seen many programs forgets only what is over", async () => {
    const counts = await run(onHost, reports, most * 2, { first: 1000, isKept: true })
    assert.ok(counts.races > most, JSON.stringify(counts))
  })

  test("the call that a report suggests removes the report", async () => {
    const counts = await run(onHost, (checks, ...rest) => checks.fixes(...rest), Math.ceil(most / 2))
    assert.ok(counts.fixes > most, JSON.stringify(counts))
    assert.equal(counts.unfixable, 0)
  })

  test("without one of its waits, a program without races is reported exactly if the wait was needed", async () => {
    const counts = await run(onHost, (checks, ...rest) => checks.waits(...rest), Math.ceil(most / 15))
    assert.ok(counts.neededWaits > 0 && counts.neededWaits < counts.waits, JSON.stringify(counts))
  })
})
