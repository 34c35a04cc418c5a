/** The library's own suballocation: its order, and the calls of the driver that it makes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import type { StreamHandle } from "../../src/driver/handles.js"
import type { OrderMark } from "../../src/driver/memory.js"
import { captureGraph, currentStream, openDevice } from "../../src/index.js"
import { OutOfMemoryError } from "../../src/common/errors.js"
import { Latch, launch, mark, never, noop, onDouble, open, thrownBy, untilGone } from "./device.js"
import { double } from "./double.js"

const MIB = 2 ** 20
const [unknown, unlimited] = [999, 2 ** 34]

/** Allocates all memory that is known to be free, so that the next allocation must search: the first piece has 2 MiB. */
function takeTheRest(driver: Driver, stream: StreamHandle, used: number): number {
  return driver.memory.allocate(2 * MIB - used, stream, never)
}

onDouble("device memory cut by ourselves", () => {
  test("allocations and frees make no user stream wait; records watch frees and mark early memory", () => {
    using driver = open()
    const [stream, other] = [driver.streams.create(0), driver.streams.create(0)]
    launch(driver, stream, noop)
    const calls = double.log(() => {
      for (let i = 0; i < 100; i++) {
        const [small, large] = [
          driver.memory.allocate(1000 + i, stream, never),
          driver.memory.allocate(3 * MIB, other, never),
        ]
        launch(driver, stream, noop)
        launch(driver, other, noop)
        driver.memory.free(small, stream, mark)
        driver.memory.free(large, other, mark)
      }
    })
    const memory = calls.filter(([name]) => /Mem(Alloc|Free)/.test(String(name)))
    assert.equal(memory.length, 2) // A piece for small ones, and one for large ones.
    assert.ok(memory.every((call) => !call.includes(stream) && !call.includes(other)))
    assert.deepEqual(
      calls.filter(([name]) => name === "cuStreamWaitEvent"),
      [],
    )
    // Large frees are watched one by one, small ones now and then. All but the first memory may be handed out early.
    const records = (on: StreamHandle) => calls.filter((call) => call[0] === "cuEventRecord" && call[2] === on).length
    assert.ok(records(other) >= 64 && records(other) <= 199)
    assert.ok(records(stream) >= 6 && records(stream) <= 8 + 99)
  })

  test("memory whose free is pending is reused only by its stream and by streams ordered after the free", () => {
    using driver = open()
    const [held, other] = [driver.streams.create(0), driver.streams.create(0)]
    using latch = new Latch(driver).hold(held)
    const address = driver.memory.allocate(MIB, held, never)
    const rest = takeTheRest(driver, held, MIB)
    const place: OrderMark = { slot: 3, tick: 7 }
    driver.memory.free(address, held, place)
    const elsewhere = driver.memory.allocate(MIB, other, never)
    assert.notEqual(elsewhere, address)
    assert.equal(driver.memory.allocate(MIB, held, never), address)
    driver.memory.free(address, held, place)
    const taken: number[] = []
    // Memory that is certainly free comes first.
    while (!taken.includes(address) && taken.length < 5)
      taken.push(driver.memory.allocate(MIB, other, (known) => known === place))
    assert.ok(taken.includes(address))
    latch.open()
    driver.streams.synchronize(held)
    for (const one of [...taken, rest, elsewhere]) driver.memory.free(one, held, mark)
  })

  test("freed memory is available to every stream once the free is over, which an allocation checks", () => {
    using driver = open()
    const [first, other] = [driver.streams.create(0), driver.streams.create(0)]
    using latch = new Latch(driver).hold(first)
    const address = driver.memory.allocate(MIB, first, never)
    const rest = takeTheRest(driver, first, MIB)
    driver.memory.free(address, first, mark)
    const freed = driver.events.create(false)
    driver.events.record(freed, first)
    // Held again, so that the whole stream is never seen idle.
    using second = new Latch(driver).hold(first)
    latch.open()
    driver.events.synchronize(freed)
    const { reserved } = driver.memory.usage()
    assert.equal(driver.memory.allocate(MIB, other, never), address)
    assert.equal(driver.memory.usage().reserved, reserved)
    second.open()
    for (const one of [address, rest]) driver.memory.free(one, other, mark)
  })

  test("memory freed on a destroyed stream is reused", () => {
    using driver = open()
    const [gone, other] = [driver.streams.create(0), driver.streams.create(0)]
    using latch = new Latch(driver).hold(gone)
    const address = driver.memory.allocate(MIB, gone, never)
    const rest = takeTheRest(driver, gone, MIB)
    driver.memory.free(address, gone, mark)
    driver.streams.destroy(gone)
    const taken = [driver.memory.allocate(MIB, other, never), driver.memory.allocate(MIB, other, never)]
    assert.ok(!taken.includes(address))
    latch.open()
    driver.memory.drainFrees()
    assert.equal(driver.memory.allocate(MIB, other, never), address)
    for (const one of [...taken, address, rest]) driver.memory.free(one, other, mark)
  })

  test("a captured stream is neither queried nor recorded on for memory", () => {
    using driver = open()
    const [captured, other] = [driver.streams.create(0), driver.streams.create(0)]
    const address = driver.memory.allocate(MIB, captured, never)
    const rest = takeTheRest(driver, captured, MIB)
    driver.memory.free(address, captured, mark)
    driver.streams.synchronize(captured)
    driver.memory.free(driver.memory.allocate(MIB, captured, never), captured, mark)
    driver.graphs.beginCapture(captured)
    const calls = double.log(() => {
      for (let i = 0; i < 8; i++) driver.memory.free(driver.memory.allocate(MIB, other, never), other, mark)
      driver.memory.drainFrees()
    })
    const onCaptured = calls.filter(([name, ...args]) => args.includes(captured) && name !== "cuStreamIsCapturing")
    assert.deepEqual(onCaptured, [])
    driver.graphs.destroy(driver.graphs.endCapture(captured, undefined))
    driver.memory.free(rest, other, mark)
  })

  test("small and large arrays have separate pieces, so that a large piece can be released", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const large = driver.memory.allocate(64 * MIB, stream, never)
    driver.memory.free(large, stream, mark)
    const small = driver.memory.allocate(1000, stream, never)
    assert.ok(small < large || small >= large + 64 * MIB)
    driver.memory.free(small, stream, mark)
  })

  test("before an allocation fails, unused pieces are released", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    double.setMemory(100 * MIB)
    try {
      const [small, first] = [
        driver.memory.allocate(1000, stream, never),
        driver.memory.allocate(64 * MIB, stream, never),
      ]
      driver.memory.free(first, stream, mark)
      // Larger than the free memory and than the rest.
      assert.ok(thrownBy(() => driver.memory.allocate(100 * MIB, stream, never)) instanceof OutOfMemoryError)
      driver.streams.synchronize(stream)
      const second = driver.memory.allocate(90 * MIB, stream, never)
      const { used, reserved } = driver.memory.usage()
      assert.equal(used, 1000 + 90 * MIB)
      assert.ok(reserved <= 100 * MIB)
      for (const address of [small, second]) driver.memory.free(address, stream, mark)
    } finally {
      double.setMemory(unlimited)
    }
  })

  test("if a generous piece cannot be allocated, the smallest possible one is", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    double.setMemory(3 * MIB)
    try {
      const address = driver.memory.allocate(2 * MIB, stream, never)
      assert.equal(driver.memory.usage().reserved, 2 * MIB)
      driver.memory.free(address, stream, mark)
    } finally {
      double.setMemory(unlimited)
    }
  })

  test("a free whose stream cannot be watched still happens", async () => {
    {
      using driver = open()
      const [stream, other] = [driver.streams.create(0), driver.streams.create(0)]
      const address = driver.memory.allocate(MIB, stream, never)
      const rest = takeTheRest(driver, stream, MIB)
      double.fail("cuEventRecord", 1, unknown)
      driver.memory.free(address, stream, mark)
      assert.equal(double.failuresLeft(), 0)
      assert.equal(driver.memory.usage().used, MIB)
      driver.streams.synchronize(stream)
      assert.equal(driver.memory.allocate(MIB, other, never), address)
      for (const one of [address, rest]) driver.memory.free(one, other, mark)
    }
    await untilGone()
  })

  test("the library knows which frees of a never idle stream are over, however many there are", () => {
    using driver = open()
    const [busy, other] = [driver.streams.create(0), driver.streams.create(0)]
    using first = new Latch(driver).hold(busy)
    const addresses = Array.from({ length: 16 }, () => driver.memory.allocate(32 * MIB, busy, never))
    for (const address of addresses) driver.memory.free(address, busy, mark)
    const passed = driver.events.create(false)
    driver.events.record(passed, busy)
    using second = new Latch(driver).hold(busy)
    first.open()
    driver.events.synchronize(passed)
    const { reserved } = driver.memory.usage()
    const taken = Array.from({ length: 16 }, () => driver.memory.allocate(32 * MIB, other, never))
    assert.equal(driver.memory.usage().reserved, reserved)
    second.open()
    for (const address of taken) driver.memory.free(address, other, mark)
  })

  test("loops of mixed sizes on a never idle stream need only the memory in flight", async () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const events = Array.from({ length: 8 }, () => driver.events.create(false))
    const usages: number[] = []
    for (let round = 0; round < 4000; round++) {
      const event = events[round % events.length] ?? assert.fail()
      driver.events.synchronize(event) // Eight rounds are in flight at most.
      const sizes = Array.from({ length: 6 }, (_, index) => 1000 + ((round * 31 + index * 17) % 12) * 300_000)
      const addresses = sizes.map((size) => driver.memory.allocate(size, stream, never))
      launch(driver, stream, noop)
      for (const address of addresses) driver.memory.free(address, stream, mark)
      driver.events.record(event, stream)
      if (round % 1000 === 999) usages.push(driver.memory.usage().reserved)
    }
    assert.ok((usages.at(-1) ?? Infinity) <= 512 * MIB, `${usages.join()} bytes`)
    assert.equal(usages.at(-1), usages[0])
  })

  test("a fitting free block is found behind others of its class before more memory is taken", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const some = [1, 2, 3, 4].map(() => driver.memory.allocate(33 * MIB, stream, never))
    for (const address of some) driver.memory.free(address, stream, mark)
    driver.streams.synchronize(stream)
    const reserved = new Set<number>()
    for (let i = 0; i < 10; i++) {
      driver.memory.free(driver.memory.allocate(33.5 * MIB, stream, never), stream, mark)
      driver.streams.synchronize(stream)
      reserved.add(driver.memory.usage().reserved)
    }
    assert.equal(reserved.size, 1)
  })

  test("arrays of any size can use nearly all memory", async () => {
    for (const size of [1.1, 5, 8, 9, 11, 17, 20, 31]) {
      {
        using driver = open()
        const stream = driver.streams.create(0)
        double.setMemory(1024 * MIB)
        try {
          let had = 0
          const takeAll = () => {
            for (; ; had += size) driver.memory.allocate(size * MIB, stream, never)
          }
          assert.ok(thrownBy(takeAll) instanceof OutOfMemoryError)
          assert.ok(had >= 850, `${had} of 1024 MiB in arrays of ${size} MiB`)
        } finally {
          double.setMemory(unlimited)
        }
      }
      await untilGone()
    }
  })

  test("small arrays can use the large arrays' free memory before an allocation fails", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    double.setMemory(128 * MIB)
    try {
      const taken: number[] = []
      thrownBy(() => {
        for (;;) taken.push(driver.memory.allocate(2 * MIB, stream, never))
      })
      taken.forEach((address, index) => index % 16 === 0 || driver.memory.free(address, stream, mark))
      driver.streams.synchronize(stream)
      driver.memory.free(driver.memory.allocate(1000, stream, never), stream, mark)
    } finally {
      double.setMemory(unlimited)
    }
  })

  test("an allocation waits for no queued work, not even of a destroyed stream", () => {
    using driver = open()
    const [stream, gone] = [driver.streams.create(0), driver.streams.create(0)]
    double.setMemory(256 * MIB)
    try {
      using latch = new Latch(driver).hold(gone)
      driver.streams.destroy(gone)
      const some = [1, 2, 3, 4].map(() => driver.memory.allocate(40 * MIB, stream, never))
      for (const address of some) driver.memory.free(address, stream, mark)
      driver.streams.synchronize(stream)
      const address = driver.memory.allocate(200 * MIB, stream, never)
      assert.equal(latch.timedOut, false)
      latch.open()
      driver.memory.free(address, stream, mark)
    } finally {
      double.setMemory(unlimited)
    }
  })

  test("frees of a stream that has entered a capture since are drained, too", () => {
    using driver = open()
    const [root, stream, other] = [driver.streams.create(0), driver.streams.create(0), driver.streams.create(0)]
    double.setMemory(300 * MIB)
    try {
      using latch = new Latch(driver).hold(stream)
      driver.memory.free(driver.memory.allocate(200 * MIB, stream, never), stream, mark)
      const [brought, joined] = [driver.events.create(false), driver.events.create(false)]
      driver.graphs.beginCapture(root)
      driver.events.record(brought, root)
      driver.streams.wait(stream, brought)
      latch.open()
      driver.memory.drainFrees()
      driver.memory.free(driver.memory.allocate(200 * MIB, other, never), other, mark)
      driver.events.record(joined, stream)
      driver.streams.wait(root, joined)
      driver.graphs.destroy(driver.graphs.endCapture(root, undefined))
    } finally {
      double.setMemory(unlimited)
    }
  })

  test("a stream whose end cannot be queried does not fail operations of another one", () => {
    using driver = open()
    const [held, stream, other] = [driver.streams.create(0), driver.streams.create(0), driver.streams.create(0)]
    double.setMemory(100 * MIB)
    try {
      using latch = new Latch(driver).hold(held)
      driver.streams.destroy(held)
      driver.memory.free(driver.memory.allocate(80 * MIB, stream, never), stream, mark)
      double.fail("cuEventQuery", 1, unknown)
      driver.streams.destroy(stream) // The query was for the other one's end.
      assert.equal(double.failuresLeft(), 0)
      latch.open()
      driver.memory.drainFrees()
      driver.memory.free(driver.memory.allocate(80 * MIB, other, never), other, mark)
    } finally {
      double.setMemory(unlimited)
    }
  })

  test("small frees are drained, too, of a stream that has come into a capture since", () => {
    double.setMemory(100 * MIB)
    try {
      using device = openDevice("cuda:0")
      const stream = device.createStream()
      stream.run(() => {
        for (const array of [1, 2].map(() => device.empty("uint8", 1000))) array.dispose()
      })
      using graph = captureGraph(
        () => {
          stream.wait(currentStream(device))
          device.empty("uint8", 99 * MIB)
          currentStream(device).wait(stream)
        },
        { device },
      )
      assert.equal(graph.nodeCount, 0)
    } finally {
      double.setMemory(unlimited)
    }
  })
})
