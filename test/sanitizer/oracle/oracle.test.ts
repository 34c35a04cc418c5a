import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { type DeviceSelector, openDevice } from "../../../src/index.js"
import { double, skip } from "../../cuda/double.js"
import { unsanitized } from "../../support/races.js"
import { Checks } from "./check.js"
import { programOf } from "./generate.js"
import type { Action, Program, Region } from "./program.js"
import { type Counts, noCounts } from "./run/judge.js"
import { World } from "./run/world.js"

/** How many random programs each device runs. The README says how to run many more. */
const most = Number(process.env["AUXSTREAM_PROGRAMS"] ?? 50)

type Check = (checks: Checks, worlds: readonly World[], program: Program, counts: Counts) => Promise<unknown>

const reports: Check = (checks, ...rest) => checks.reports(...rest)

function programs(first: number, count: number): Program[] {
  return Array.from({ length: count }, (_, index) => programOf(first + index))
}

const nowhere: Region = { array: 0, begin: 0, length: 0 }
const somewhere: Region = { array: 0, begin: 0, length: 8 }
const read: Action = { kind: "touch", input: somewhere, output: nowhere, both: nowhere, reads: [], writes: [] }

/** Two leases of a pool stream read the same bytes, which a third stream writes. */
const leases: Program = {
  seed: 0,
  statements: [
    { kind: "start" },
    { kind: "leases", joining: 1, forking: 2, first: read, second: read },
    { kind: "action", action: { kind: "fill", target: somewhere, declares: false }, stream: 3 },
  ],
}

async function run(
  list: readonly Program[],
  devices: readonly DeviceSelector[],
  check: Check,
  isKept = false,
): Promise<Counts> {
  const open = devices.map((id) => (id === "host" ? openDevice(id, { threads: 2 }) : openDevice(id)))
  const worlds = open.map((device, number) => new World(device, number))
  const counts = noCounts()
  const checks = new Checks(isKept)
  try {
    for (const program of list) {
      await check(checks, worlds, program, counts).catch((error: unknown) => {
        throw new Error(`with seed ${program.seed} on ${devices.join(" and ")}`, { cause: error })
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
      const counts = await run(programs(1 + place * most, most), devices, reports)
      assert.ok(counts.races > most && counts.reports >= counts.races, JSON.stringify(counts))
    })
  }

  test("programs that once disagreed: first contents in a capture, and a fix of a stream that a left-out wait had captured", async () => {
    await run([programOf(720_017_272)], onHost, reports)
    await run([programOf(790_000_123)], onHost, (checks, ...rest) => checks.waits(...rest))
  })

  test("a sanitizer that has seen many programs forgets only finished work", async () => {
    const counts = await run(programs(1000, most * 2), onHost, reports, true)
    assert.ok(counts.races > most, JSON.stringify(counts))
  })

  test("the call that a report suggests removes the report", async () => {
    const counts = await run(programs(1, Math.ceil(most / 2)), onHost, (checks, ...rest) => checks.fixes(...rest))
    assert.ok(counts.fixes > most, JSON.stringify(counts))
    assert.equal(counts.unfixable, 0)
  })

  test("each of two leases of one stream that did the same needs a fix of its own", async () => {
    const counts = await run([leases], onHost, (checks, ...rest) => checks.fixes(...rest))
    assert.ok(counts.fixes >= 2, JSON.stringify(counts))
  })

  test("without one of its waits, a program without races is reported exactly if the wait was needed", async () => {
    const counts = await run(programs(1, Math.ceil(most / 15)), onHost, (checks, ...rest) => checks.waits(...rest))
    assert.ok(counts.neededWaits > 0 && counts.neededWaits < counts.waits, JSON.stringify(counts))
  })
})
