import assert from "node:assert/strict"
import { syncBuiltinESMExports } from "node:module"
import { mock, test } from "node:test"
import perfHooks from "node:perf_hooks"
import timers from "node:timers"
import timersPromises from "node:timers/promises"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

const { setTimeout } = globalThis

/** Replaces every timer, microtask and clock by one that never fires, as fake timers do until a test advances them. */
function fakeEverything(): Disposable {
  const never = () => ({ ref() {}, unref() {}, hasRef: () => false })
  const stopped = { now: () => 0 }
  // Node.js itself uses this one for its output, so it is only delayed.
  const { nextTick } = process
  const ticks: Parameters<typeof nextTick>[] = []
  const fakes: (readonly [target: object, name: string, fake: unknown])[] = [
    ...[globalThis, timers].flatMap((target) =>
      ["setTimeout", "setInterval", "setImmediate"].map((name) => [target, name, never] as const),
    ),
    ...["setTimeout", "setImmediate"].map((name) => [timersPromises, name, () => new Promise(never)] as const),
    [globalThis, "queueMicrotask", never],
    [globalThis, "performance", stopped],
    [perfHooks, "performance", stopped],
    [process, "nextTick", (...tick: Parameters<typeof nextTick>) => ticks.push(tick)],
  ]
  const real = fakes.map(([target, name]) => Object.getOwnPropertyDescriptor(target, name))
  for (const [target, name, value] of fakes) Object.defineProperty(target, name, { value, configurable: true })
  syncBuiltinESMExports()
  return {
    [Symbol.dispose]() {
      fakes.forEach(([target, name], index) => Object.defineProperty(target, name, real[index] ?? {}))
      syncBuiltinESMExports()
      for (const tick of ticks) nextTick(...tick)
    },
  }
}

forEachOpenDevice("faked timers", (open) => {
  for (const held of ["for a moment", "for longer than any polling lasts"]) {
    test(`§4 read, completed: settle while a test fakes every timer, with work held ${held}`, async () => {
      using device = open()
      using x = device.zeros("int32", 2)
      using stream = device.createStream()
      await device.completed()
      using latch = new Latch(device).hold()
      affine.launch(over(2), 2, x, 1, 7)
      using _fakes = fakeEverything()
      const promises = [x.read(), device.completed(), stream.completed(), device.createEvent().record().completed()]
      if (held !== "for a moment") await new Promise((resolve) => setTimeout(resolve, 30))
      latch.open()
      const [elements] = await Promise.all(promises)
      assert.deepEqual(elements, Int32Array.of(7, 7))
      assert.equal(latch.timedOut, false)
    })
  }

  test("§4 read: settles under the timers that node:test mocks", async () => {
    using device = open()
    using x = device.full("int32", 2, 3)
    mock.timers.enable()
    try {
      assert.deepEqual(await x.read(), Int32Array.of(3, 3))
    } finally {
      mock.timers.reset()
    }
  })

  test("§8 abort: rejects while a test fakes every timer", async () => {
    using device = open()
    using latch = new Latch(device).hold()
    const controller = new AbortController()
    using _fakes = fakeEverything()
    const promise = device.completed({ signal: controller.signal })
    controller.abort("enough")
    await assert.rejects(promise, (reason) => reason === "enough")
    latch.open()
  })
})
