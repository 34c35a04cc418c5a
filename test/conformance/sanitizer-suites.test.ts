/**
 * Cases of the suites of PyTorch's sanitizer and of CuSan that no other test has. test/sanitizer/cases.test.ts lists where each
 * case of theirs is.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Device, DeviceArray, Stream } from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, combine, once, over } from "../support/kernels.js"
import { accessesOf, mend, Races, raceOf, sanitized, unsanitized } from "../support/races.js"

type Ints = DeviceArray<"int32">

function write(x: Ints, stream?: Stream): void {
  affine.launch({ ...over(x.length), stream }, x.length, x, 1, 1)
}

/** Streams, and as many arrays. `read` reads an array on the stream with this number. */
function setUp(device: Device, count: number) {
  const arrays = Array.from({ length: count }, () => device.zeros("int32", 8))
  const own = Array.from({ length: count }, () => device.zeros("int32", 8))
  const streams = Array.from({ length: count }, (_, index) => device.createStream({ name: `s${index}` }))
  device.synchronize()
  const stream = (index: number) => streams[index] ?? assert.fail(`no stream ${index}`)
  const array = (index: number) => arrays[index] ?? assert.fail(`no array ${index}`)
  return {
    ...{ streams, arrays, stream, array },
    read(index: number, x: Ints): void {
      combine.launch({ ...over(8), stream: stream(index) }, 8, x, own[index] ?? assert.fail())
    },
    [Symbol.dispose]() {
      device.synchronize()
      for (const each of [...streams, ...arrays, ...own]) each.dispose()
    },
  }
}

forEachOpenDevice("§13 other suites:", (open) => {
  test("a launch without arrays is in no race", unsanitized, () => {
    using t = setUp(open(), 2)
    using _ = sanitized()
    t.stream(0).external({}, () => {})
    t.stream(1).external({}, () => {})
  })

  test("order passes along a chain of ten streams", unsanitized, () => {
    using t = setUp(open(), 11)
    using _ = sanitized()
    t.read(0, t.array(0))
    for (let index = 0; index < 10; index++) t.stream(index + 1).wait(t.stream(index).record())
    write(t.array(0), t.stream(10))
  })

  for (const waited of [9, 10]) {
    test(`ten streams read and a writer waits for ${waited} of them`, unsanitized, () => {
      using t = setUp(open(), 11)
      using _ = sanitized()
      const events = Array.from({ length: 10 }, (_each, index) => {
        t.read(index, t.array(0))
        return t.stream(index).record()
      })
      for (const event of events.slice(10 - waited)) t.stream(10).wait(event)
      if (waited === 10) return write(t.array(0), t.stream(10))
      assert.equal(raceOf(() => write(t.array(0), t.stream(10))).previous.stream.name, "s0")
    })
  }

  test("one launch with ten races reports all ten", unsanitized, () => {
    using t = setUp(open(), 10)
    using races = new Races()
    const launch = (index: number) =>
      affine.launch({ ...once, stream: t.stream(index), uses: { writes: t.arrays.slice(1) } }, 0, t.array(0), 1, 1)
    launch(0)
    launch(1)
    const found = races.found.splice(0)
    assert.deepEqual(
      found.map(({ range }) => range.address).toSorted((one, other) => one - other),
      t.arrays.map(({ address }) => address).toSorted((one, other) => one - other),
    )
    assert.ok(
      found.every((race) => accessesOf(race).every((words) => /^test_affine.* (read)?write on s[01]$/.test(words))),
    )
  })

  test("a wait keeps what the stream knew already, also if the event is older", unsanitized, () => {
    using t = setUp(open(), 3)
    using _ = sanitized()
    const touch = (index: number) => write(t.array(index), t.stream(index))
    touch(1)
    touch(2)
    const [first, second] = [t.stream(1).record(), t.stream(2).record()]
    touch(1)
    touch(2)
    t.stream(2).wait(first)
    t.stream(1).wait(second)
    raceOf(() => write(t.array(2), t.stream(1)))
    t.stream(1).wait(t.stream(2).record())
    write(t.array(1), t.stream(1))
    write(t.array(2), t.stream(1))
  })

  test("a new event orders nothing, even if it has the driver's event of a disposed one", unsanitized, () => {
    const device = open()
    using t = setUp(device, 2)
    using _ = sanitized()
    t.read(0, t.array(0))
    const event = t.stream(0).record()
    event.dispose()
    assert.throws(() => t.stream(1).wait(event), { code: "AUX_DISPOSED" })
    for (let count = 0; count < 10; count++) {
      using next = device.createEvent()
      t.stream(1).wait(next)
    }
    raceOf(() => write(t.array(0), t.stream(1)))
  })

  test("the default stream orders no other stream by itself, before it or after it", unsanitized, () => {
    const device = open()
    using t = setUp(device, 2)
    using _ = sanitized()
    t.array(0).fill(1)
    raceOf(() => t.read(0, t.array(0)))
    write(t.array(1), t.stream(1))
    raceOf(() => t.array(1).fill(1))
    device.defaultStream.synchronize()
    t.read(0, t.array(0))
    raceOf(() => t.array(1).fill(1))
  })

  test(
    "allocations, of pinned memory too, order nothing, though a driver may wait for the device in them",
    unsanitized,
    () => {
      const device = open()
      using t = setUp(device, 2)
      using _ = sanitized()
      write(t.array(0), t.stream(0))
      using pinned = device.pinned("int32", 1000)
      device.empty("int32", 100_000).dispose()
      device.zeros("int32", 100_000).dispose()
      raceOf(() => t.read(1, t.array(0)))
      assert.equal(pinned.length, 1000)
    },
  )

  test("a copy between pinned and device memory, and one of a typed array, order no other stream", unsanitized, () => {
    const device = open()
    using t = setUp(device, 2)
    using pinned = device.pinned("int32", 8)
    using _ = sanitized()
    write(t.array(0), t.stream(0))
    t.array(1).copyFrom(new Int32Array(8))
    pinned.copyFrom(t.array(1))
    raceOf(() => t.read(1, t.array(0)))
    raceOf(() => t.read(1, t.array(1)))
  })

  test(
    "streams that each work on a chunk of one array do not race; chunks that overlap by an element do",
    unsanitized,
    () => {
      const device = open()
      using t = setUp(device, 4)
      using x = device.zeros("int32", 64)
      device.synchronize()
      using _ = sanitized()
      const chunk = (index: number, more = 0) => x.subarray(16 * index, 16 * (index + 1) + more)
      for (let round = 0; round < 3; round++) {
        for (const [index, stream] of t.streams.entries()) {
          stream.run(() => chunk(index).copyFrom(new Int32Array(16)))
          write(chunk(index), stream)
        }
      }
      const race = raceOf(() => write(chunk(1, 1), t.stream(1)))
      assert.deepEqual(race.range, { address: chunk(2).address, byteLength: 4 })
      mend(race)
      write(chunk(1, 1), t.stream(1))
      for (const stream of t.streams) device.defaultStream.wait(stream)
      write(x)
    },
  )

  test("a part that one stream writes leaves the rest to what wrote the whole", unsanitized, () => {
    using t = setUp(open(), 3)
    using _ = sanitized()
    const x = t.array(0)
    write(x, t.stream(0))
    t.stream(1).wait(t.stream(0))
    write(x.subarray(0, 4), t.stream(1))
    t.stream(2).wait(t.stream(0))
    t.stream(2).run(() => t.array(1).subarray(0, 4).copyFrom(x.subarray(4, 8)))
    raceOf(() => t.stream(2).run(() => t.array(1).subarray(0, 4).copyFrom(x.subarray(3, 7))))
  })

  test("a block of memory that two streams used is used again by a third one", unsanitized, () => {
    const device = open()
    using t = setUp(device, 3)
    using _ = sanitized()
    for (let round = 0; round < 20; round++) {
      const [shared, ...out] = [t.stream(0).run(() => device.full("int32", 5000, round)), t.array(0), t.array(1)]
      for (const [index, into] of out.entries()) {
        combine.launch({ ...over(8), stream: t.stream(index) }, 8, shared.subarray(0, 8), into)
      }
      shared.dispose()
      t.stream(2).run(() => device.full("int32", 5000, -1).dispose())
    }
    device.synchronize()
    let expected = 0
    for (let round = 0; round < 20; round++) expected = (Math.imul(expected, 3) + round) | 0
    assert.equal(t.array(0).readSync()[0], expected)
    assert.equal(t.array(1).readSync()[7], expected)
  })
})
