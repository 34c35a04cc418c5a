/** CUDA calls that fail, each in turn, in every part of a program, from opening the device to closing it. */
import assert from "node:assert/strict"
import { after, describe, test } from "node:test"
import { type Device, DeviceLostError, openDevice } from "../../src/index.js"
import { double, native, skip } from "../cuda/double.js"
import { collectUntil } from "../support/collect.js"
import { allErrors, checkClear, checkLost, checkWorks, outcome, placesOf } from "./checks.js"
import { Program } from "./program.js"
import { watching, watchingNothing } from "./watchdog.js"

/** What a call may return: a failure without further effects, no memory, a fault that loses the device. */
const statuses = { unknown: 999, "out of memory": 2, fault: 700 }
const kinds = Object.keys(statuses) as (keyof typeof statuses)[]

/** A call by its name, and how many of that name were made before. */
interface Place {
  readonly call: string
  readonly nth: number
}

/** After a call that failed to do so: the thread's stack of contexts is finite. */
const popContext = native("cuCtxPopCurrent_v2", "int", ["uintptr_t"])

const warnings: Error[] = []
process.on("warning", (warning) => warnings.push(warning))

/** Waits until a closed device has released its context. @returns the parts that are left */
async function leftovers(): Promise<string> {
  // Pinned memory is freed once its buffer is unreachable.
  await collectUntil(() => double.alive().contexts === 0, "the context is released")
  const left = Object.entries(double.alive()).filter(([, count]) => count > 0)
  double.forgetLost()
  return left.map(([name, count]) => `${count} ${name}`).join(", ")
}

async function wholeProgram(): Promise<void> {
  using device = openDevice("cuda:0")
  const program = new Program(device)
  try {
    await program.run()
  } finally {
    program.dispose()
  }
}

/** The calls of the program. */
async function placesOfProgram(): Promise<Place[]> {
  const calls = await double.logAsync(wholeProgram)
  await leftovers()
  const seen = new Map<string, number>()
  return calls.map(([name]) => {
    const call = String(name)
    const nth = (seen.get(call) ?? 0) + 1
    seen.set(call, nth)
    return { call, nth }
  })
}

/** After the program: the device works, or is lost and says so. */
async function checkAfter(device: Device, thrown: unknown, where: string): Promise<void> {
  const later = thrown instanceof DeviceLostError ? thrown : await outcome(() => checkWorks(device, where))
  const loss = allErrors(later).find((error) => error instanceof DeviceLostError)
  if (loss instanceof DeviceLostError) await checkLost(device, loss, where)
  // Memory may be left in use if the library has said so.
  else if (later !== undefined && warnings.length === 0) throw later
}

/** Runs the program with one failing call. @returns whether the call was made */
async function runWith({ call, nth }: Place, status: number): Promise<boolean> {
  warnings.length = 0
  double.fail(call, nth, status)
  let program: Program | undefined
  const thrown = await outcome(async () => {
    program = new Program(openDevice("cuda:0"))
    await program.run()
  })
  const where = program === undefined ? "opening" : `in "${program.step}"`
  try {
    if (thrown !== undefined) checkClear(thrown, where)
    program?.dispose()
    // A call that was not made yet may be one of those that close the device.
    if (program !== undefined && double.failuresLeft() === 0) await checkAfter(program.device, thrown, where)
  } finally {
    program?.device.dispose()
  }
  const left = await leftovers()
  const wasMade = double.failuresLeft() === 0
  double.failNothing()
  if (wasMade && call === "cuCtxPopCurrent_v2") popContext(0)
  for (const { name, message } of warnings) assert.equal(name, "AuxstreamWarning", message)
  // A fault takes everything with it but the context.
  if (left !== "" && status !== statuses.fault && warnings.length === 0)
    assert.fail(`${where}: left behind without a warning: ${left}`)
  return wasMade
}

describe("each CUDA call failing in turn", { skip }, () => {
  after(() => watchingNothing())

  test("ends in a clear error, or in none; the device then works, or is lost with that as the cause", async (t) => {
    await wholeProgram()
    await leftovers()
    const places = await placesOfProgram()
    const problems: string[] = []
    let made = 0
    for (const index of placesOf(places.length * kinds.length, 71)) {
      const place = places[Math.floor(index / kinds.length)]
      const kind = kinds[index % kinds.length]
      assert.ok(place !== undefined && kind !== undefined)
      const where = `${kind} at ${place.call} number ${place.nth}`
      watching(where)
      try {
        if (await runWith(place, statuses[kind])) made++
      } catch (error) {
        problems.push(`${where}: ${String(error).slice(0, 300)}`)
        double.failNothing()
        double.forgetLost()
      }
    }
    assert.deepEqual(problems, [])
    // Whether some calls are made depends on time: queries.
    assert.ok(made > 5)
    t.diagnostic(`${made} calls failed, of ${places.length} calls with ${kinds.length} statuses each`)
  })
})
