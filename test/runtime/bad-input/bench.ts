import assert from "node:assert/strict"
import { after, test } from "node:test"
import type { ErrorCode } from "../../../src/index.js"
import { show } from "../../../src/common/show.js"
import { openOther } from "../../support/devices.js"
import { refused, rejected, type Words } from "../../support/errors.js"
import { affine, over } from "../../support/kernels.js"
import { Recorded } from "../../support/recorded.js"

/** Shared by the tables of bad input: good and bad values, and the check of a case. */

/** A call that must be refused, the code of its error, and words of its message. */
export type Case = readonly [call: () => unknown, code: ErrorCode, ...words: Words[]]

/** Values that are no non-negative integers. */
export const noIntegers: readonly unknown[] = [-1, 0.5, NaN, Infinity, -Infinity, 2 ** 53, "1", null, 1n, {}, [1], true]
export const noFunctions: readonly unknown[] = [undefined, null, 5, "fn", {}, []]
export const noObjects: readonly unknown[] = [null, 5, "options", true]
export const noStreams: readonly unknown[] = [5, "stream", {}, 5n]
export const noSignals: readonly unknown[] = [null, 5, {}, "signal"]

/** A method without its types, because the compiler would refuse the tested calls. */
export type Loose = (...args: readonly unknown[]) => unknown

export function loose(target: object, method: string): Loose {
  const member: unknown = Reflect.get(target, method)
  if (typeof member !== "function") throw new TypeError(`no method ${method}`)
  return (...args) => Reflect.apply(member, target, args) as unknown
}

/** The same refusal for each of several values, which the message shows. */
export function each(
  values: readonly unknown[],
  call: (value: unknown) => unknown,
  code: ErrorCode,
  ...words: Words[]
): Case[] {
  return values.map((value) => [() => call(value), code, show(value), ...words])
}

export const at = new Recorded()
export const { device } = at
/** A device unrelated to `device`. */
export const other = openOther()
export const x = device.full("int32", 4, 1)
export const floats = device.zeros("float32", 4)
export const gone = device.zeros("int32", 4)
export const foreign = other.zeros("int32", 4)
export const pinned = device.pinned("int32", 4)
export const foreignStream = other.createStream({ name: "foreign stream" })
export const foreignEvent = other.createEvent({ name: "foreign event" })
export const goneStream = device.createStream({ name: "gone stream" })
export const goneEvent = device.createEvent({ name: "gone event" })
export const event = device.createEvent({ name: "an event" })
let called = 0

for (const thing of [gone, goneStream, goneEvent]) thing.dispose()
// By now, everything that is made at first use exists.
affine.launch(over(4), 4, x, 1, 0)
device.synchronize()

after(() => {
  other.dispose()
  device.dispose()
})

const queueing = [
  "kernels.launch",
  "memory.copy",
  "memory.copyRows",
  "memory.upload",
  "memory.fill",
  "memory.fillRows",
  "events.record",
  "streams.wait",
  "memory.allocate",
  "memory.free",
] as const
const making = ["memory.allocatePinned", "streams.create", "events.create", "streams.adopt", "streams.destroy"] as const

/** A function that must never be called. */
export function fn(): void {
  called += 1
}

/** Every case is refused, queues and makes nothing, and leaves the device as it was. */
export function refuses(name: string, cases: () => readonly Case[]): void {
  test(name, async () => {
    for (const [call, code, ...words] of cases()) {
      at.recording.take()
      called = 0
      let result: unknown
      const error = refused(
        () => {
          result = call()
          if (!(result instanceof Promise)) return
          // A promise reports the refusal later.
          throw result
        },
        code,
        ...words,
      )
      assert.ok(error.message.length > 20, error.message)
      assert.equal(called, 0, "no function of the caller was called")
      assert.deepEqual(at.recording.take(...queueing, ...making), [], "nothing was queued, nothing made")
    }
    await works()
  })
}

/** The same for calls that return a promise. */
export function rejects(name: string, cases: () => readonly Case[]): void {
  test(name, async () => {
    for (const [call, code, ...words] of cases()) {
      at.recording.take()
      await rejected(async () => await call(), code, ...words)
      assert.deepEqual(at.recording.take(...queueing, ...making), [], "nothing was queued, nothing made")
    }
    await works()
  })
}

async function works(): Promise<void> {
  const before = x.readSync()
  affine.launch(over(4), 4, x, 1, 1)
  assert.deepEqual(
    await x.read(),
    before.map((value) => value + 1),
  )
}
