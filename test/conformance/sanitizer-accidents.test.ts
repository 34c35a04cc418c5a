/** Accidents that happened in real programs, as small ones. Each is reported; without the mistake it is not. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  currentStream,
  type Device,
  type DeviceArray,
  executeInParallel,
  fork,
  maybeExecuteInParallel,
  parallel,
} from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, combine, over } from "../support/kernels.js"
import { raceOf, sanitized, unsanitized } from "../support/races.js"

type Ints = DeviceArray<"int32">

/** A layer that changes its input in place. */
function scale(x: Ints): Ints {
  affine.launch(over(x.length), x.length, x, 3, 1)
  return x
}

/** A layer with an output of its own. */
function project(device: Device, x: Ints): Ints {
  const out = device.zeros("int32", x.length)
  combine.launch(over(x.length), x.length, x, out)
  return out
}

forEachOpenDevice("§13 accidents:", (open) => {
  test("one tensor is given to both branches, and one of them changes it", unsanitized, () => {
    const device = open()
    using aux = device.createStream({ name: "aux" })
    using x = device.zeros("int32", 64)
    using _ = sanitized()
    const run = (shared: (x: Ints) => Ints) =>
      maybeExecuteInParallel(
        () => project(device, x),
        () => shared(x),
        device.createEvent(),
        device.createEvent(),
        aux,
      )
    const race = raceOf(() => run(scale))
    assert.deepEqual([race.current.region?.function, race.previous.region?.function], [1, 0])
    run((input) => project(device, input))
    device.synchronize()
  })

  test("both branches write one buffer that was made before", unsanitized, () => {
    const device = open()
    using aux = device.createStream()
    using x = device.zeros("int32", 64)
    using out = device.zeros("int32", 64)
    using _ = sanitized()
    const run = (...outputs: [Ints, Ints]) =>
      executeInParallel(
        () => combine.launch(over(64), 64, x, outputs[0]),
        [() => combine.launch(over(32), 32, x.subarray(0, 32), outputs[1])],
        device.createEvent(),
        [device.createEvent()],
        [aux],
      )
    raceOf(() => run(out, out.subarray(0, 32)))
    raceOf(() => run(out.subarray(0, 33), out.subarray(32, 64)))
    run(out.subarray(0, 32), out.subarray(32, 64))
    device.synchronize()
  })

  test(
    "a lost record_stream: an output of the aux stream is dropped while the caller still reads it",
    unsanitized,
    () => {
      const device = open()
      using x = device.zeros("int32", 64)
      using _ = sanitized()
      // The library sees the uses, so nothing has to be recorded by hand: no race, and no garbage.
      for (let step = 0; step < 30; step++) {
        const [main, aside] = parallel([() => project(device, x), () => project(device, x)])
        combine.launch(over(64), 64, aside, main)
        aside.dispose()
        main.dispose()
      }
    },
  )

  test("an input that the aux stream still reads is dropped, and its memory is used again", unsanitized, () => {
    const device = open()
    using aux = device.createStream()
    using out = device.zeros("int32", 5000)
    using _ = sanitized()
    aux.wait(device.defaultStream)
    for (let step = 0; step < 30; step++) {
      const input = device.zeros("int32", 5000)
      aux.run(() => combine.launch(over(5000), 5000, input, out))
      input.dispose()
      device.full("int32", 5000, step).dispose()
    }
    device.synchronize()
  })

  test(
    "one read event for a buffer: a second reader replaces the first one's, and a writer waits for the second",
    unsanitized,
    () => {
      const device = open()
      using a = device.createStream()
      using b = device.createStream()
      using writer = device.createStream()
      using x = device.zeros("int32", 64)
      using y = device.zeros("int32", 64)
      using z = device.zeros("int32", 64)
      using read = device.createEvent()
      using _ = sanitized()
      combine.launch({ ...over(64), stream: a }, 64, x, y)
      read.record(a)
      combine.launch({ ...over(64), stream: b }, 64, x, z)
      read.record(b)
      writer.wait(read)
      assert.equal(raceOf(() => writer.run(() => scale(x))).previous.stream.id, a.id)
      writer.wait(a)
      writer.run(() => scale(x))
      device.synchronize()
    },
  )

  test("a throw in a branch must not lose the join", unsanitized, () => {
    const device = open()
    using aux = device.createStream()
    using x = device.zeros("int32", 64)
    using _ = sanitized()
    assert.throws(() =>
      maybeExecuteInParallel(
        () => {},
        () => {
          scale(x)
          throw new Error("on purpose")
        },
        device.createEvent(),
        device.createEvent(),
        aux,
      ),
    )
    scale(x)
    device.synchronize()
  })

  test("a result of a fork is used without its join", unsanitized, () => {
    const device = open()
    using x = device.zeros("int32", 64)
    using _ = sanitized()
    let made: Ints | undefined
    const forked = fork(() => (made = project(device, x)))
    const early = made ?? assert.fail("the fork has not run")
    raceOf(() => scale(early))
    scale(forked.join())
    early.dispose()
    device.synchronize()
  })

  test("a cache: a row is written while the rows up to it are read", unsanitized, () => {
    const device = open()
    using aux = device.createStream()
    using cache = device.zeros("int32", 16 * 8)
    using out = device.zeros("int32", 16 * 8)
    const rows = (begin: number, end: number) => cache.subarray(8 * begin, 8 * end)
    const attend = (end: number) => combine.launch(over(8 * end), 8 * end, rows(0, end), out.subarray(0, 8 * end))
    using _ = sanitized()
    for (let token = 1; token < 15; token++) {
      aux.wait(device.defaultStream)
      aux.run(() => rows(token, token + 1).fill(token))
      attend(token)
      raceOf(() => attend(token + 1))
      device.defaultStream.wait(aux)
      attend(token + 1)
    }
    device.synchronize()
  })

  test(
    "graphs of other shapes share a buffer: the next input is copied while a graph may still read it",
    unsanitized,
    () => {
      const device = open()
      using aux = device.createStream()
      using input = device.zeros("int32", 64)
      using out = device.zeros("int32", 64)
      const graphs = [16, 64].map((length) =>
        captureGraph(() => combine.launch(over(length), length, input.subarray(0, length), out.subarray(0, length))),
      )
      using _ = sanitized()
      for (const graph of graphs) {
        graph.launch()
        const race = raceOf(() => aux.run(() => input.copyFrom(new Int32Array(64))))
        assert.equal(race.previous.kind, "graph")
        aux.wait(currentStream(device))
        aux.run(() => input.copyFrom(new Int32Array(64)))
        raceOf(() => graph.launch())
        device.defaultStream.wait(aux)
      }
      for (const graph of graphs) graph.dispose()
      device.synchronize()
    },
  )

  test(
    "the host reads before the copy to pinned memory is done, and fills it for the next one",
    unsanitized,
    async () => {
      const device = open()
      using aux = device.createStream()
      using x = device.zeros("int32", 64)
      using staging = device.pinned("int32", 64)
      using _ = sanitized()
      staging.copyFrom(x)
      raceOf(() => aux.run(() => staging.copyFrom(x)))
      await device.defaultStream.completed()
      aux.run(() => staging.copyFrom(x))
      device.synchronize()
    },
  )
})
