/** Something is disposed of at each point of a program, which continues: before each step, and inside each function. */
import assert from "node:assert/strict"
import { after, describe, test } from "node:test"
import { AuxstreamError, type Device, openDevice } from "../../src/index.js"
import { showThrown } from "../../src/common/show.js"
import { double, skip } from "../cuda/double.js"
import { collectUntil } from "../support/collect.js"
import { Latch } from "../support/latch.js"
import { prepare } from "../support/kernels.js"
import { allErrors, checkClear, checkWorks, everything, outcome, placesOf } from "./checks.js"
import { Program, steps, type Things } from "./program.js"
import { watching, watchingNothing } from "./watchdog.js"

const names = [
  "aux",
  "start",
  "done",
  "timed",
  "x",
  "y",
  "z",
  "flag",
  "host",
  "graph",
  "conditional",
] as const satisfies (keyof Things)[]

/** Codes that say that something is gone or busy. */
const codes: ReadonlySet<string> = new Set(["AUX_DISPOSED", "AUX_STREAM_CAPTURING", "AUX_AMBIGUOUS_DEVICE"])

/** Where something is disposed of: before a step, or inside a function. */
interface Point {
  readonly kind: "step" | "callback"
  readonly nth: number
}

async function pointsOf(device: Device): Promise<Point[]> {
  let callbacks = 0
  const program = new Program(device, { callback: () => callbacks++ })
  await program.run()
  program.dispose()
  const inFunctions = Array.from({ length: callbacks }, (_, nth) => ({ kind: "callback", nth }) as const)
  return [...steps.map((_, nth) => ({ kind: "step", nth }) as const), ...inFunctions]
}

/** Runs the program, and disposes of something at a point. @returns what the program threw */
async function runWith(device: Device, point: Point, dispose: (things: Things) => void): Promise<unknown> {
  let callbacks = 0
  const program: Program = new Program(device, {
    before: (_, index) => {
      if (point.kind === "step" && index === point.nth) dispose(program.things)
    },
    callback: () => {
      if (callbacks++ === point.nth && point.kind === "callback") dispose(program.things)
    },
  })
  const thrown = await outcome(() => program.run())
  if (thrown !== undefined) {
    const where = `in "${program.step}"`
    checkClear(thrown, where)
    for (const error of allErrors(thrown)) {
      const code = error instanceof AuxstreamError ? error.code : "AUX_DISPOSED"
      assert.ok(codes.has(code), `${where}: ${showThrown(thrown)}`)
    }
  }
  program.dispose()
  return thrown
}

function permutations<T>(all: readonly T[]): T[][] {
  if (all.length === 0) return [[]]
  return all.flatMap((first, index) => permutations(all.toSpliced(index, 1)).map((rest) => [first, ...rest]))
}

/** Queues work behind a latch and disposes of everything in an order. Pending promises then settle as if nothing were. */
async function disposeWhileHeld(id: "host" | "cuda:0", order: readonly (keyof Things | "device")[]): Promise<void> {
  const device = openDevice(id)
  await prepare(device)
  const latch = new Latch(device)
  const pending: Promise<unknown>[] = []
  const stop = new Error("stop")
  const program: Program = new Program(device, {
    before: (name) => {
      if (name === "work of another library") throw stop
      if (name === "launch") latch.hold()
      if (name === "capture of a conditional") pending.push(program.have.x.read(), program.have.aux.completed())
    },
  })
  assert.equal(await outcome(() => program.run()), stop)
  for (const name of order) (name === "device" ? device : program.things[name])?.dispose()
  program.dispose()
  device.dispose()
  latch.open()
  for (const { status } of await Promise.allSettled(pending)) assert.equal(status, "fulfilled", order.join(", "))
  latch[Symbol.dispose]()
}

const warnings: Error[] = []
process.on("warning", (warning) => warnings.push(warning))

/** Nothing may be left of a closed CUDA device. */
async function checkGone(where: string): Promise<void> {
  if (skip !== false) return
  await collectUntil(() => double.alive().contexts === 0, `the context is released, ${where}`)
  const left = Object.entries(double.alive()).filter(([, count]) => count > 0)
  assert.deepEqual(left, [], where)
}

for (const { id, skipped } of [
  { id: "host", skipped: false },
  { id: "cuda:0", skipped: skip },
] as const) {
  describe(`disposing at each point, on ${id}`, { skip: skipped }, () => {
    after(() => watchingNothing())

    test("the program continues, or ends with an error that says so; nothing is left, and the device works", async () => {
      using device = openDevice(id)
      const points = await pointsOf(device)
      const used = device.memory.used
      const problems: string[] = []
      let failed = 0
      for (const index of placesOf(points.length * names.length, 83)) {
        const [point, name] = [points[Math.floor(index / names.length)], names[index % names.length]]
        assert.ok(point !== undefined && name !== undefined)
        const where = `${name} is disposed of at ${point.kind} ${point.nth} on ${id}`
        watching(where)
        try {
          if ((await runWith(device, point, (things) => things[name]?.dispose())) !== undefined) failed++
          device.synchronize()
          assert.equal(device.memory.used, used, "memory is left in use")
          if (everything || index % 5 === 0) await checkWorks(device, where)
        } catch (error) {
          problems.push(`${where}: ${showThrown(error)}`)
        }
      }
      assert.deepEqual(problems, [])
      assert.ok(failed > 1)
      assert.deepEqual(warnings.splice(0), [])
    })

    test("the device itself: the program ends with DisposedError, and nothing is left", async () => {
      const first = openDevice(id)
      const points = await pointsOf(first)
      first.dispose()
      for (const index of placesOf(points.length, 29)) {
        const point = points[index]
        assert.ok(point)
        const where = `the device is disposed of at ${point.kind} ${point.nth} on ${id}`
        watching(where)
        const device = openDevice(id)
        assert.ok((await runWith(device, point, () => device.dispose())) !== undefined, where)
        device.dispose()
        await checkGone(where)
      }
      assert.deepEqual(warnings.splice(0), [])
    })

    test("everything, in every order, while all work is still held up", async () => {
      const all = permutations(["aux", "timed", "x", "host", "graph", "device"] as const)
      for (const index of placesOf(all.length, 301)) {
        const order = all[index] ?? []
        watching(`${order.join(", ")} on ${id}`)
        await disposeWhileHeld(id, order)
        await checkGone(order.join(", "))
      }
      assert.deepEqual(warnings.splice(0), [])
    })
  })
}
