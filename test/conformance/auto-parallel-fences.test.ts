import assert from "node:assert/strict"
import { test } from "node:test"
import {
  autoParallel,
  captureGraph,
  currentStream,
  type Device,
  type Event,
  executeInParallel,
  fork,
  maybeExecuteInParallel,
  parallel,
  type Stream,
} from "../../src/index.js"
import { forEachDevice, forEachOpenDevice } from "../support/devices.js"
import { affine, over } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"
import { firsts, fourArrays, type Ints, placed, step } from "../support/placed.js"

interface Things {
  readonly device: Device
  readonly main: Stream
  readonly other: Stream
  readonly event: Event
  readonly x: Ints
}

const nothing = () => {}

/** Each names a stream or an event, or makes the host wait. */
const fences: Readonly<Record<string, (things: Things) => unknown>> = {
  "currentStream()": ({ device }) => currentStream(device),
  "Event.record": ({ event }) => event.record(),
  "Event.wait": ({ event }) => event.wait(),
  "Event.query": ({ event }) => event.query(),
  "Event.synchronize": ({ event }) => event.synchronize(),
  "Event.completed": ({ event }) => event.completed(),
  "Stream.record": ({ main, event }) => main.record(event),
  "Stream.wait": ({ main, other }) => main.wait(other),
  "Stream.run": ({ other }) => other.run(nothing),
  "Stream.external": ({ main, x }) => main.external({ writes: [x] }, nothing),
  "Stream.query": ({ main }) => main.query(),
  "Stream.synchronize": ({ main }) => main.synchronize(),
  "Stream.completed": ({ main }) => main.completed(),
  "Stream.handle": ({ other }) => other.handle,
  "a launch on a named stream": ({ main, x }) => affine.launch({ ...over(4), stream: main }, 4, x, 1, 0),
  "Device.synchronize": ({ device }) => device.synchronize(),
  "Device.completed": ({ device }) => device.completed(),
  parallel: () => parallel([nothing, nothing]),
  "maybeExecuteInParallel on two streams": ({ event, other, device }) =>
    maybeExecuteInParallel(nothing, nothing, event, device.createEvent(), other),
  "maybeExecuteInParallel without an aux stream": () => maybeExecuteInParallel(nothing, nothing, null, null, null),
  executeInParallel: ({ event, other, device }) =>
    executeInParallel(nothing, [nothing], event, [device.createEvent()], [other]),
  fork: () => fork(nothing).join(),
  captureGraph: ({ x }) => captureGraph(() => step(x)).dispose(),
}

forEachOpenDevice("fences of autoParallel", (open) => {
  for (const [name, fence] of Object.entries(fences)) {
    test(`§14 where: ${name} is a fence: all is joined before it, and all later operations follow it`, async () => {
      const device = open()
      const [x, y] = fourArrays(device)
      using other = device.createStream()
      using event = device.createEvent()
      const promises: unknown[] = []
      const report = placed(() => {
        step(x)
        step(y)
        promises.push(fence({ device, main: device.defaultStream, other, event, x }))
        step(x)
        step(y)
      })
      await Promise.all(promises)
      assert.deepEqual(
        report.operations.map(({ section, stream }) => [section, stream]),
        [
          [0, 0],
          [0, 1],
          [1, 0],
          [1, 1],
        ],
      )
    })
  }
})

forEachDevice("fences of autoParallel", (open) => {
  test("§14 where: everything before a fence is done when a stream that waits there continues", () => {
    using device = open()
    using latch = new Latch(device)
    using other = device.createStream()
    const [x, y, z] = fourArrays(device)
    device.synchronize()
    autoParallel(() => {
      step(x)
      latch.holdUnnamed()
      step(y)
      other.wait(currentStream(device))
      other.run(() => step(z))
      assert.equal(isHeld(other), true)
      step(z.subarray(0, 0))
    })
    latch.open()
    other.synchronize()
    assert.deepEqual(firsts(x, y, z), [4, 7, 10])
    assert.equal(latch.timedOut, false)
  })

  test("§14 where: operations after a fence run after it, also if it ordered nothing else", () => {
    using device = open()
    using latch = new Latch(device)
    using other = device.createStream()
    const [x, y] = fourArrays(device)
    device.synchronize()
    latch.hold(other)
    autoParallel(() => {
      step(x)
      currentStream(device).wait(other)
      step(x)
      step(y)
    })
    using probe = device.createStream()
    probe.wait(currentStream(device))
    assert.equal(isHeld(probe), true)
    latch.open()
    assert.deepEqual(firsts(x, y), [13, 7])
    assert.equal(latch.timedOut, false)
  })

  test("§14 where: inside a fork-join nothing is placed, and its functions keep their streams", () => {
    using device = open()
    const [x, y, z] = fourArrays(device)
    const streams: Stream[] = []
    const report = placed(() => {
      parallel([
        () => {
          streams.push(currentStream(device))
          step(x)
        },
        () => {
          streams.push(currentStream(device))
          step(y)
        },
      ])
      step(z)
    })
    assert.equal(report.operations.length, 1)
    assert.equal(new Set(streams).size, 2)
    assert.deepEqual(firsts(x, y, z), [4, 7, 10])
  })

  test("§14 where: a region on another current stream is a region of its own, and both join", () => {
    using device = open()
    using other = device.createStream()
    const [x, y, z, w] = fourArrays(device)
    let inner
    const outer = placed(() => {
      step(x)
      step(y)
      other.wait(currentStream(device))
      inner = other.run(() =>
        placed(() => {
          step(x)
          step(y)
        }),
      )
      currentStream(device).wait(other)
      step(z)
      step(w)
    })
    assert.deepEqual(
      outer.operations.map(({ stream }) => stream),
      [0, 1, 0, 1],
    )
    assert.ok(inner !== undefined)
    assert.deepEqual(firsts(x, y, z, w), [13, 22, 10, 13])
  })

  test("§14 where: an error leaves everything joined, and is thrown as it was", () => {
    using device = open()
    using latch = new Latch(device)
    const [x, y] = fourArrays(device)
    device.synchronize()
    const error = new Error("on purpose")
    const fails = () => {
      step(x)
      latch.holdUnnamed()
      step(y)
      throw error
    }
    assert.throws(
      () => autoParallel(fails),
      (thrown) => thrown === error,
    )
    assert.equal(isHeld(currentStream(device)), true)
    latch.open()
    assert.deepEqual(firsts(x, y), [4, 7])
    // The next region begins anew.
    assert.deepEqual(placed(() => step(x)).operations.length, 1)
    assert.equal(latch.timedOut, false)
  })

  test("§14 where: a call that is refused is not placed, and the region continues", () => {
    using device = open()
    const [x, y] = fourArrays(device)
    const gone = device.full("int32", 4, 1)
    gone.dispose()
    const report = placed(() => {
      step(x)
      assert.throws(() => step(gone), { code: "AUX_DISPOSED" })
      step(y)
    })
    assert.equal(report.operations.length, 2)
    assert.deepEqual(firsts(x, y), [4, 7])
  })

  test("§14 where: a function that returns a promise is refused, after everything is joined", () => {
    using device = open()
    using latch = new Latch(device)
    const [x, y] = fourArrays(device)
    device.synchronize()
    const wrong: () => unknown = async () => {
      latch.holdUnnamed()
      step(x)
      await Promise.resolve()
      step(y)
      throw new Error("not seen")
    }
    const lazy: () => unknown = () => ({ then: (resolve: () => void) => resolve() })
    assert.throws(() => autoParallel(wrong as () => number), {
      code: "AUX_INVALID_ARGUMENT",
      message: /must not return a promise/,
    })
    assert.throws(() => autoParallel(lazy as () => number), { code: "AUX_INVALID_ARGUMENT" })
    assert.equal(isHeld(currentStream(device)), true)
    latch.open()
    assert.equal(latch.timedOut, false)
  })

  test("§14 where: bad input is refused before the function is called", () => {
    using device = open()
    const never = () => assert.fail("called")
    for (const streams of [0, -1, 1.5, NaN, 129, "8", null]) {
      assert.throws(
        () => autoParallel(never, { streams: streams as number }),
        { code: "AUX_OUT_OF_RANGE" },
        String(streams),
      )
    }
    assert.throws(() => autoParallel(5 as unknown as () => number), { code: "AUX_INVALID_ARGUMENT" })
    assert.throws(() => autoParallel(never, { explain: 5 as unknown as () => void }), { code: "AUX_INVALID_ARGUMENT" })
    assert.throws(() => autoParallel(never, { device: "host" as unknown as Device }), { code: "AUX_INVALID_ARGUMENT" })
    assert.throws(() => autoParallel(never, { stream: 8 } as object), {
      code: "AUX_INVALID_ARGUMENT",
      message: /streams/,
    })
    using stream = device.createStream()
    stream.run(() => {
      stream.dispose()
      assert.throws(() => autoParallel(never), { code: "AUX_DISPOSED" })
    })
  })
})
