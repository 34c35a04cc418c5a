import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  currentStream,
  type Device,
  fork,
  KernelError,
  openDevice,
  parallel,
  type Stream,
} from "../../src/index.js"
import { forEachDevice, onHost } from "../support/devices.js"
import { affine, combine, once, over, throwing } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

const nothing = () => {}
const here = () => currentStream()

/** The pool stream that a call on this stream gets. */
function leasedFrom(main: Stream): Stream {
  return main.run(() => parallel([nothing, here]))[1]
}

/** The process's warnings from here on. */
function warningsOf(): { readonly seen: Error[]; [Symbol.dispose](): void } {
  const seen: Error[] = []
  const listen = (warning: Error) => seen.push(warning)
  process.on("warning", listen)
  return { seen, [Symbol.dispose]: () => process.off("warning", listen) }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Makes forks, each from a stream of its own, without joining them. */
function forksOf(device: Device, count: number) {
  const mains = Array.from({ length: count }, () => device.createStream())
  const forks = mains.map((main) => main.run(() => fork(nothing)))
  return {
    streams: forks.map(({ stream }) => stream),
    join: () => mains.forEach((main, index) => main.run(() => forks[index]?.join())),
    [Symbol.dispose]: () => mains.forEach((main) => main.dispose()),
  }
}

forEachDevice("strangers", (open) => {
  test("§5.12 parallel: a call does not wait for work that another caller left on a pool stream", () => {
    using device = open()
    using slow = device.createStream()
    using quick = device.createStream()
    using latch = new Latch(device)
    using x = device.full("int32", 4, 1)
    device.synchronize()
    slow.run(() => parallel([nothing, () => latch.hold()]))
    quick.run(() => parallel([nothing, () => affine.launch(over(4), 4, x, 2, 1)]))
    quick.synchronize()
    assert.equal(isHeld(slow), true)
    latch.open()
    assert.equal(latch.timedOut, false)
    assert.deepEqual(
      quick.run(() => x.readSync()),
      Int32Array.of(3, 3, 3, 3),
    )
  })

  test("§5.12 fork: neither if the other caller's pool stream only waits, with nothing queued after the wait", () => {
    using device = open()
    using slow = device.createStream()
    using quick = device.createStream()
    using latch = new Latch(device).hold(slow)
    using x = device.full("int32", 4, 1)
    device.defaultStream.synchronize()
    slow.run(() => fork(nothing).join())
    quick.run(() => fork(() => affine.launch(over(4), 4, x, 2, 1)).join())
    quick.synchronize()
    assert.equal(isHeld(slow), true)
    latch.open()
    assert.equal(latch.timedOut, false)
  })

  test("§5.12 fork: a second caller that joins it does not wait for a later fork of the first caller", () => {
    using device = open()
    using first = device.createStream()
    using second = device.createStream()
    using earlier = new Latch(device)
    using later = new Latch(device)
    const forked = first.run(() => fork(() => earlier.hold()))
    first.run(() => forked.join())
    const next = first.run(() => fork(() => later.hold()))
    assert.equal(next.stream, forked.stream)
    second.run(() => forked.join())
    assert.equal(isHeld(second), true)
    earlier.open()
    second.synchronize()
    assert.equal(isHeld(next.stream), true)
    later.open()
    first.run(() => next.join())
    first.synchronize()
    assert.equal(earlier.timedOut || later.timedOut, false)
  })

  test("§5.12 parallel: each function of a call has a stream of its own, even beside other callers", () => {
    using device = open()
    using slow = device.createStream()
    using quick = device.createStream()
    using latch = new Latch(device).hold(slow)
    const pair = (main: Stream) => main.run(() => parallel([here, here, here, here]))
    const streams = [...pair(slow), ...pair(quick), ...pair(quick)]
    assert.equal(new Set(streams).size, 2 * 4)
    latch.open()
  })

  test("§5.12 the pool: callers one after another, each done, need only one stream", async () => {
    using device = open()
    using x = device.zeros("int32", 4)
    await device.completed()
    const streams = new Set<Stream>()
    for (let caller = 0; caller < 50; caller++) {
      using main = device.createStream()
      const [, stream] = main.run(() =>
        parallel([
          nothing,
          () => {
            affine.launch(over(4), 4, x, 1, 1)
            return here()
          },
        ]),
      )
      streams.add(stream)
      await main.completed()
    }
    assert.equal(streams.size, 1)
    assert.deepEqual(x.readSync(), new Int32Array(4).fill(50))
  })

  test("§5.12 the pool: a query finds an idle stream even if no stream was synchronised", () => {
    using device = open()
    using first = device.createStream()
    using second = device.createStream()
    using x = device.zeros("int32", 4)
    device.synchronize()
    const [, used] = first.run(() => parallel([nothing, () => affine.launch(over(4), 4, x, 1, 1) ?? here()]))
    using event = device.createEvent().record(first)
    while (!event.query());
    assert.equal(leasedFrom(second), used)
  })

  test("§5.12 the pool: has up to 128 streams, then shares them, with one warning", async () => {
    using device = open()
    using warnings = warningsOf()
    using forks = forksOf(device, 128)
    await turn()
    assert.deepEqual(warnings.seen, [])
    using more = forksOf(device, 300)
    const all = [...forks.streams, ...more.streams]
    assert.equal(new Set(all).size, 128)
    for (const stream of new Set(all)) assert.ok(all.filter((other) => other === stream).length <= 4, "shared alike")
    more.join()
    forks.join()
    device.synchronize()
    await turn()
    assert.deepEqual(
      warnings.seen.map(({ message }) => /More than 128 functions run side by side/.test(message)),
      [true],
    )
  })

  test("§5.12 the pool: keeps 8 idle streams", () => {
    using device = open()
    using forks = forksOf(device, 40)
    forks.join()
    using main = device.createStream()
    device.synchronize()
    for (let call = 0; call < 40; call++) leasedFrom(main)
    assert.ok(forks.streams.filter(({ disposed }) => !disposed).length <= 8 + 1)
  })

  test("§5.12 the pool: keeps all streams that have work left", () => {
    using device = open()
    using held = device.createStream()
    using main = device.createStream()
    using forks = forksOf(device, 40)
    using latch = new Latch(device).hold(held)
    for (const stream of forks.streams) stream.wait(held)
    forks.join()
    for (let call = 0; call < 40; call++) leasedFrom(main)
    assert.equal(forks.streams.filter(({ disposed }) => disposed).length, 0)
    latch.open()
    assert.equal(latch.timedOut, false)
  })

  test("§5.12 a capture: its calls share a pool stream, and use none that has outside work left", () => {
    using device = open()
    using slow = device.createStream()
    using main = device.createStream()
    using latch = new Latch(device)
    using x = device.zeros("int32", 4)
    using y = device.zeros("int32", 4)
    device.synchronize()
    const [, busy] = slow.run(() => parallel([nothing, () => latch.hold() && here()]))
    const streams = new Set<Stream>()
    using graph = captureGraph(() => {
      for (let layer = 0; layer < 3; layer++) {
        parallel([
          () => affine.launch(over(4), 4, x, 2, 1),
          () => {
            affine.launch(over(4), 4, y, 3, 1)
            streams.add(here())
          },
        ])
        combine.launch(over(4), 4, x, y)
      }
    })
    assert.equal(graph.branchCount, 2)
    assert.equal(streams.size, 1)
    assert.equal(streams.has(busy), false)
    graph.launch(main)
    main.synchronize()
    latch.open()
    assert.equal(latch.timedOut, false)
  })

  test("§5.12 a capture: two independent flows get unordered streams", async () => {
    using device = open()
    using x = device.zeros("int32", 4)
    using y = device.zeros("int32", 4)
    device.synchronize()
    const flow = async (array: typeof x) => {
      for (let layer = 0; layer < 3; layer++) {
        parallel([nothing, () => affine.launch(over(4), 4, array, 2, 1)])
        await turn()
      }
    }
    using graph = await captureGraph(async () => {
      await Promise.all([fork(() => flow(x)).join(), fork(() => flow(y)).join()])
    })
    assert.equal(graph.branchCount, 2)
    assert.equal(graph.edges.length, 2 * (3 - 1))
  })
})

onHost("strangers that fail", (open) => {
  test("§5.12 a pool stream that will break is not used, even if the host has seen the end of everything it waits for", () => {
    using device = openDevice("host", { threads: 1 })
    const [failing, held, other] = [device.createStream(), device.createStream(), device.createStream()]
    using x = device.full("int32", 4, 1)
    device.synchronize()
    throwing.launch({ ...once, stream: failing }, 1)
    assert.throws(() => failing.synchronize(), KernelError)
    // The only thread is busy, so the pool stream does not reach its wait for the broken one.
    using latch = new Latch(device).hold(held).waitUntilEntered()
    failing.run(() => fork(nothing).join())
    failing.dispose()
    for (let count = 0; count < 10; count++) device.createStream().dispose()
    other.run(() => parallel([nothing, () => affine.launch(over(4), 4, x, 2, 1)]))
    latch.open()
    assert.deepEqual(
      other.run(() => x.readSync()),
      Int32Array.of(3, 3, 3, 3),
    )
    assert.equal(latch.timedOut, false)
    held.dispose()
    other.dispose()
  })

  test("§5.12 independent callers, some of whose branches throw: no other fails or loses a result", async () => {
    using device = open()
    const caller = async (index: number): Promise<number | undefined> => {
      using main = device.createStream()
      return await main.run(async () => {
        using x = device.full("int32", 4, index)
        using y = device.full("int32", 4, index)
        for (let layer = 0; layer < 5; layer++) {
          const aside = () => {
            if (index % 3 === 0 && layer === 2) throwing.launch(once, index)
            affine.launch(over(4), 4, y, 2, 1)
          }
          if (index % 2 === 0) parallel([() => affine.launch(over(4), 4, x, 3, 1), aside])
          else {
            const forked = fork(aside)
            affine.launch(over(4), 4, x, 3, 1)
            forked.join()
          }
          if (index % 5 === 0) await turn()
        }
        combine.launch(over(4), 4, x, y)
        return (await y.read())[0]
      })
    }
    const expected = (index: number) => {
      let [x, y] = [index, index]
      for (let layer = 0; layer < 5; layer++) [x, y] = [Math.imul(x, 3) + 1, Math.imul(y, 2) + 1]
      return Math.imul(y, 3) + x
    }
    for (let round = 0; round < 5; round++) {
      const outcomes = await Promise.allSettled(Array.from({ length: 40 }, (_, index) => caller(index)))
      outcomes.forEach((outcome, index) => {
        if (index % 3 === 0) assert.equal(outcome.status, "rejected", `caller ${index}`)
        else assert.deepEqual(outcome, { status: "fulfilled", value: expected(index) }, `caller ${index}`)
      })
    }
  })
})
