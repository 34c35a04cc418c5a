import assert from "node:assert/strict"
import { test } from "node:test"
import {
  currentStream,
  type Device,
  type DeviceArray,
  fork,
  maybeExecuteInParallel,
  parallel,
  type Stream,
} from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, combine, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { accessesOf, mend, Races, raceOf, sanitized, unsanitized } from "../support/races.js"

const LENGTH = 64

function write(stream: Stream, x: DeviceArray<"int32">): void {
  affine.launch({ ...over(x.length), stream }, x.length, x, 1, 1)
}

function read(stream: Stream, x: DeviceArray<"int32">, own: DeviceArray<"int32">): void {
  combine.launch({ ...over(x.length), stream }, x.length, x, own)
}

/** Three streams, an array that they share, and one array for each. */
function setUp(device: Device) {
  const streams = ["a", "b", "c"].map((name) => device.createStream({ name }))
  const [a, b, c] = streams as [Stream, Stream, Stream]
  const x = device.zeros("int32", LENGTH)
  const own = new Map<Stream, DeviceArray<"int32">>()
  const ownOf = (stream: Stream) => {
    const array = own.get(stream) ?? device.zeros("int32", LENGTH)
    own.set(stream, array)
    return array
  }
  const sanitizer = sanitized()
  return {
    ...{ a, b, c, x, ownOf },
    write: (stream: Stream, array = x) => write(stream, array),
    read: (stream: Stream, array = x) => read(stream, array, ownOf(stream)),
    [Symbol.dispose]() {
      sanitizer.stop()
      for (const each of [...streams, x, ...own.values()]) each.dispose()
    },
  }
}

forEachOpenDevice("§13 the sanitizer and order:", (open) => {
  test("one stream never races with itself", unsanitized, () => {
    using t = setUp(open())
    t.write(t.a)
    t.read(t.a)
    t.write(t.a)
  })

  test("two streams may read at the same time", unsanitized, () => {
    using t = setUp(open())
    t.read(t.a)
    t.read(t.b)
    t.read(t.a)
  })

  for (const [first, second] of [
    ["write", "read"],
    ["read", "write"],
    ["write", "write"],
  ] as const) {
    test(`a ${first} and a ${second} on two streams race without an order`, unsanitized, () => {
      using t = setUp(open())
      t[first](t.a)
      const race = raceOf(() => t[second](t.b))
      assert.equal(race.current.stream.name, "b")
      assert.equal(race.previous.stream.name, "a")
      assert.equal(race.current.access, second === "read" ? "read" : "readwrite")
      assert.equal(race.previous.access, first === "read" ? "read" : "readwrite")
      assert.deepEqual(race.range, { address: t.x.address, byteLength: 4 * LENGTH })
    })
  }

  test("a wait for an event, and a wait for a stream, order them", unsanitized, () => {
    using t = setUp(open())
    t.write(t.a)
    t.b.wait(t.a.record())
    t.write(t.b)
    t.c.wait(t.b)
    t.read(t.c)
  })

  test("a record before the access does not order it", unsanitized, () => {
    using t = setUp(open())
    const event = t.a.record()
    t.write(t.a)
    t.b.wait(event)
    assert.match(raceOf(() => t.read(t.b)).missing, /waits for nothing that comes after kernel/)
  })

  test("a wait before the record orders nothing", unsanitized, () => {
    using device = open()
    using t = setUp(device)
    using event = device.createEvent()
    t.write(t.a)
    t.b.wait(event)
    event.record(t.a)
    raceOf(() => t.read(t.b))
  })

  test("a later record replaces the earlier one, whose waits stay", unsanitized, () => {
    using t = setUp(open())
    t.write(t.a)
    const event = t.a.record()
    t.b.wait(event)
    event.record(t.c)
    t.read(t.b)
    t.c.wait(event)
    assert.deepEqual(accessesOf(raceOf(() => t.write(t.c))), [
      "test_affine 1 readwrite on c",
      "test_affine 1 readwrite on a",
    ])
  })

  test("a disposed event still orders the wait that was queued for it", unsanitized, () => {
    using t = setUp(open())
    t.write(t.a)
    const event = t.a.record()
    t.b.wait(event)
    event.dispose()
    t.write(t.b)
  })

  test("order is transitive over events of other streams", unsanitized, () => {
    using t = setUp(open())
    t.write(t.a)
    t.b.wait(t.a.record())
    t.c.wait(t.b.record())
    t.write(t.c)
    raceOf(() => t.read(t.a))
  })

  test("two branches that are joined one by one", unsanitized, () => {
    using t = setUp(open())
    t.write(t.a)
    const start = t.a.record()
    t.b.wait(start)
    t.c.wait(start)
    t.read(t.b)
    t.read(t.c)
    t.a.wait(t.b)
    assert.equal(raceOf(() => t.write(t.a)).previous.stream.name, "c")
    t.a.wait(t.c)
    t.write(t.a)
  })

  test("a write must come after all reads, not only after the newest", unsanitized, () => {
    using t = setUp(open())
    t.read(t.a)
    t.read(t.b)
    t.c.wait(t.b)
    assert.equal(raceOf(() => t.write(t.c)).previous.stream.name, "a")
    t.c.wait(t.a)
    t.write(t.c)
  })

  test("a read must come after the last write, also if a read on another stream did", unsanitized, () => {
    using t = setUp(open())
    t.write(t.a)
    t.b.wait(t.a)
    t.read(t.b)
    assert.equal(raceOf(() => t.read(t.c)).previous.stream.name, "a")
    t.c.wait(t.b)
    t.read(t.c)
  })

  test("elided waits count", unsanitized, () => {
    using t = setUp(open())
    t.write(t.a)
    const event = t.a.record()
    t.b.wait(event)
    t.b.wait(event)
    t.c.wait(t.b)
    t.c.wait(event)
    t.c.wait(t.a)
    t.write(t.c)
  })

  test("synchronisations of a stream, an event and the device order everything that follows", unsanitized, async () => {
    const device = open()
    using t = setUp(device)
    const ways: (() => void | Promise<unknown>)[] = [
      () => t.a.synchronize(),
      () => t.a.record().synchronize(),
      () => device.synchronize(),
      () => t.a.completed(),
      () => t.a.record().completed(),
      () => device.completed(),
      () => t.a.run(() => t.x.read()),
      () => void t.a.run(() => t.x.readSync()),
    ]
    for (const synchronize of ways) {
      t.write(t.a)
      raceOf(() => t.read(t.b))
      await synchronize()
      t.read(t.b)
      t.b.synchronize()
    }
  })

  test("queries that the program makes count if they give true", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    using latch = new Latch(device)
    latch.hold(t.a)
    t.write(t.a)
    const event = t.a.record()
    assert.equal(t.a.query() || event.query(), false)
    raceOf(() => t.read(t.b))
    latch.open()
    while (!event.query());
    t.read(t.b)
  })

  test("the library's own queries teach nothing: also a race that did no harm is found", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    t.write(t.a)
    // The pool of streams queries streams, allocations look at the ends of frees, and a stream's end is looked for.
    for (let count = 0; count < 20; count++) {
      parallel([() => t.write(t.c, t.ownOf(t.c)), () => {}])
      device.empty("int32", 1000).dispose()
      device.createStream().dispose()
    }
    while (!device.driver.streams.query(t.a.state.handle));
    raceOf(() => t.read(t.b))
  })

  test("the device's synchronisation covers streams that were disposed of", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    const stream = device.createStream()
    t.write(stream)
    stream.dispose()
    raceOf(() => t.read(t.b))
    device.synchronize()
    t.read(t.b)
  })

  test("a synchronisation covers what was queued before it, not after it", unsanitized, async () => {
    using t = setUp(open())
    t.write(t.a)
    const event = t.a.record()
    const done = event.completed()
    t.write(t.a)
    event.record(t.a)
    await done
    raceOf(() => t.read(t.b))
  })

  test("streams are known by their ids: a new stream with an old one's handle and slot is another", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    for (let count = 0; count < 3; count++) {
      const former = device.createStream()
      t.write(former)
      while (!device.driver.streams.query(former.state.handle));
      former.dispose()
      device.order.retired.reapAll()
      const next = device.createStream()
      raceOf(() => t.read(next))
      next.dispose()
      device.synchronize()
    }
  })

  test("§5.12 each lease of a pool stream is a new stream", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    const former = fork(() => t.write(currentOf(device)))
    const { stream } = former
    t.c.run(() => former.join()) // Ends the lease. Nothing else waits for it.
    while (!device.driver.streams.query(stream.state.handle));
    const forks = Array.from({ length: 20 }, () => fork(() => currentOf(device)))
    const again = forks.find((each) => each.stream === stream) ?? assert.fail("the stream is not leased again")
    const race = raceOf(() => t.read(again.stream, t.x))
    assert.match(race.missing, /different forks/)
    mend(race)
    t.read(again.stream, t.x)
    for (const each of forks) each.join()
  })

  test("the fix names its streams, also after thousands of streams in one turn of the event loop", unsanitized, () => {
    const device = open()
    for (let count = 0; count < 1000; count++) device.createStream().dispose()
    const others = Array.from({ length: 100 }, () => device.createStream())
    using t = setUp(device)
    t.write(t.a)
    const race = raceOf(() => t.read(t.b))
    assert.equal(race.fix.recording, t.a)
    assert.equal(race.fix.waiting, t.b)
    mend(race)
    t.read(t.b)
    for (const each of others) each.dispose()
  })

  test(
    "§5.1 the functions of a fork-join race with each other, and not with the work before and after it",
    unsanitized,
    () => {
      const device = open()
      using t = setUp(device)
      const [event0, event1] = [device.createEvent(), device.createEvent()]
      const both = (fn0: () => void, fn1: () => void) =>
        t.a.run(() => maybeExecuteInParallel(fn0, fn1, event0, event1, t.b))
      t.write(t.a)
      both(
        () => t.read(t.a),
        () => t.read(t.b),
      )
      t.write(t.a)
      const race = raceOf(() =>
        both(
          () => t.read(t.a),
          () => t.write(t.b),
        ),
      )
      assert.deepEqual(race.current.region, { name: "maybeExecuteInParallel", function: 1 })
      assert.deepEqual(race.previous.region, { name: "maybeExecuteInParallel", function: 0 })
      t.write(t.a)
    },
  )

  test("§5.11 a fork is ordered after what was before it, and before its join", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    t.a.run(() => {
      t.write(t.a)
      const forked = fork(() => t.write(currentOf(device)))
      raceOf(() => t.read(t.a))
      forked.join()
      t.read(t.a)
    })
  })

  test("§5.11 each stream that joins a fork again is ordered behind it, long after its end", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    const forked = t.a.run(() => fork(() => t.write(currentOf(device))))
    t.a.run(() => forked.join())
    for (let count = 0; count < 40; count++) t.c.run(() => parallel([() => {}, () => {}]))
    raceOf(() => t.read(t.b))
    t.b.run(() => forked.join())
    t.read(t.b)
  })

  test("§8 a throw queues nothing: the program can go on", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    t.write(t.a)
    raceOf(() => t.write(t.b))
    raceOf(() => t.write(t.b))
    t.a.synchronize()
    assert.deepEqual(t.x.readSync(), new Int32Array(LENGTH).fill(1))
    t.write(t.b)
    t.b.synchronize()
    assert.deepEqual(t.x.readSync(), new Int32Array(LENGTH).fill(2))
  })

  test("several races of one operation are all reported to a function", unsanitized, () => {
    const device = open()
    using t = setUp(device)
    using races = new Races()
    t.read(t.a)
    t.read(t.b)
    assert.deepEqual(races.take(), [])
    assert.equal(raceOf(() => t.write(t.c)).current.stream.name, "c")
    assert.deepEqual(races.take().length, 0, "the first sanitizer refuses it")
  })

  test("what raced is still remembered: later accesses race with both", unsanitized, () => {
    const device = open()
    const x = device.zeros("int32", LENGTH)
    const [a, b, c] = [
      device.createStream({ name: "a" }),
      device.createStream({ name: "b" }),
      device.createStream({ name: "c" }),
    ]
    using races = new Races()
    write(a, x)
    write(b, x)
    assert.deepEqual(races.take(), ["test_affine 1 readwrite on b / test_affine 1 readwrite on a"])
    c.wait(b)
    write(c, x)
    assert.deepEqual(races.take(), ["test_affine 1 readwrite on c / test_affine 1 readwrite on a"])
    c.wait(a)
    write(c, x)
    assert.deepEqual(races.take(), [])
    for (const each of [a, b, c, x]) each.dispose()
  })
})

function currentOf(device: Device): Stream {
  return currentStream(device)
}
