/** A function of the user that throws, at its beginning or its end, wherever the library calls one. */
import assert from "node:assert/strict"
import { after, describe, test } from "node:test"
import {
  captureGraph,
  currentStream,
  type Device,
  executeInParallel,
  fork,
  maybeExecuteInParallel,
  openDevice,
  parallel,
  withMultiStream,
} from "../../src/index.js"
import { showThrown } from "../../src/common/show.js"
import { skip } from "../cuda/double.js"
import { allErrors, checkWorks, placesOf } from "./checks.js"
import { Program } from "./program.js"
import { watching, watchingNothing } from "./watchdog.js"

/** The thrown values: errors, and values that cannot carry anything. */
const values: readonly unknown[] = [
  new Error("of the user"),
  undefined,
  Object.freeze(new Error("frozen")),
  Symbol("of the user"),
  Object.freeze(Object.create(null)),
]

/** What a function threw; undefined if it did not throw. */
async function thrownBy(fn: () => unknown): Promise<{ readonly value: unknown } | undefined> {
  try {
    await fn()
  } catch (value) {
    return { value }
  }
  return undefined
}

/** The number of times that the program calls one of its functions, each counted at its beginning and at its end. */
async function callbacksOf(device: Device): Promise<number> {
  let count = 0
  const program = new Program(device, { callback: () => count++ })
  await program.run()
  program.dispose()
  return count
}

async function throwAt(device: Device, nth: number, value: unknown): Promise<void> {
  const used = device.memory.used
  let count = 0
  const callback = (): void => {
    if (count++ === nth) throw value
  }
  const program = new Program(device, { callback })
  const thrown = await thrownBy(() => program.run())
  const where = `in "${program.step}"`
  assert.ok(thrown, `${where}: nothing was thrown`)
  assert.ok(allErrors(thrown.value).includes(value), `${where}: ${showThrown(thrown.value)} was thrown instead`)
  checkRestored(device, where)
  program.dispose()
  device.synchronize()
  assert.equal(device.memory.used, used, `${where}: memory is left in use`)
  await checkWorks(device, where)
}

function checkRestored(device: Device, where: string): void {
  assert.equal(currentStream(device), device.defaultStream, `${where}: the current stream is another one`)
}

/** Something with a `then` that throws when it is read, or when it is called. */
const hostile = [
  (value: unknown) => ({
    get then(): never {
      throw value
    },
  }),
  (value: unknown) => ({
    then(): never {
      throw value
    },
  }),
]

/** Every function that takes a function whose result may be a promise. */
const takers: Readonly<Record<string, (device: Device, fn: () => unknown) => unknown>> = {
  maybeExecuteInParallel: (device, fn) =>
    onTwo(device, (aux, events) => maybeExecuteInParallel(() => {}, fn, ...events, aux)),
  "its first function": (device, fn) =>
    onTwo(device, (aux, events) => maybeExecuteInParallel(fn, () => {}, ...events, aux)),
  executeInParallel: (device, fn) =>
    onTwo(device, (aux, [start, done]) => executeInParallel(() => {}, [fn], start, [done], [aux])),
  parallel: (_, fn) => parallel([() => {}, fn]),
  fork: (_, fn) => fork(fn).join(),
  scope: (device, fn) => device.scope(fn),
  run: (device, fn) => device.defaultStream.run(fn),
  withMultiStream: (_, fn) => withMultiStream(false, fn),
  captureGraph: (device, fn) => captureGraph(fn, { device }),
}

function onTwo<T>(device: Device, call: (aux: ReturnType<Device["createStream"]>, events: [never, never]) => T): T {
  const [aux, start, done] = [device.createStream(), device.createEvent(), device.createEvent()]
  return call(aux, [start as never, done as never])
}

for (const { id, skipped } of [
  { id: "host", skipped: false },
  { id: "cuda:0", skipped: skip },
] as const) {
  describe(`functions of the user that throw, on ${id}`, { skip: skipped }, () => {
    after(() => watchingNothing())

    test("the value that was thrown comes out, the current stream is restored, and the device works", async () => {
      using device = openDevice(id)
      const all = await callbacksOf(device)
      assert.ok(all > 30)
      const problems: string[] = []
      for (const index of placesOf(all * values.length, 17)) {
        const [nth, value] = [Math.floor(index / values.length), values[index % values.length]]
        const where = `callback ${nth} on ${id} throws value ${index % values.length}`
        watching(where)
        await throwAt(device, nth, value).catch((error: unknown) => problems.push(`${where}: ${showThrown(error)}`))
      }
      assert.deepEqual(problems, [])
    })

    test("so does what a `then` throws", async () => {
      using device = openDevice(id)
      const warnings: Error[] = []
      const listen = (warning: Error) => warnings.push(warning)
      process.on("warning", listen)
      for (const [name, take] of Object.entries(takers)) {
        for (const [index, make] of hostile.entries()) {
          watching(`then ${index} of ${name} on ${id}`)
          const value = new Error("of then")
          const thrown = await thrownBy(async () => await take(device, () => make(value)))
          assert.ok(
            thrown !== undefined && allErrors(thrown.value).includes(value),
            `${name}, ${index}: ${showThrown(thrown?.value)}`,
          )
          checkRestored(device, name)
        }
      }
      await checkWorks(device, "thenables")
      process.off("warning", listen)
      assert.deepEqual(warnings, [])
    })
  })
}
