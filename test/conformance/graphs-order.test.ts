import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, type Device, type DeviceArray, fork, maybeExecuteInParallel, runIf } from "../../src/index.js"
import { KernelError } from "../../src/common/errors.js"
import { forEachOpenDevice, onHost } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, once, over, prepare, throwing } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"
import { unsanitized } from "../support/races.js"

const number = (device: Device, value: number) => device.from(Int32Array.of(value))
const change = (x: DeviceArray<"int32">, a: number, b: number) => affine.launch(once, 1, x, a, b)

/** A promise with the function that settles it. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open: () => open() }
}

forEachOpenDevice("graphs beside other work", (open) => {
  test("§7: a graph in a conditional's body and launches elsewhere in the capture run one after another", async () => {
    using device = open()
    await prepare(device)
    using x = number(device, 1)
    using flag = number(device, 1)
    using doubled = captureGraph(() => change(x, 2, 1))
    using trebled = captureGraph(() => change(x, 3, 5))
    for (const [build, expected] of [
      [
        // The conditional is captured first, on another branch.
        (latch: Latch) => {
          using forked = fork(() => {
            latch.hold()
            runIf(flag, () => doubled.launch())
          })
          trebled.launch()
          forked.join()
        },
        14,
      ],
      [
        // It is captured second, and runs after the launch that it shares memory with.
        (latch: Latch) => {
          using forked = fork(() => {
            latch.hold()
            trebled.launch()
          })
          runIf(flag, () => doubled.launch())
          forked.join()
        },
        17,
      ],
    ] as const) {
      x.fill(1)
      using latch = new Latch(device)
      using graph = captureGraph(() => build(latch))
      graph.launch()
      latch.waitUntilEntered()
      assert.equal(isHeld(device.defaultStream), true)
      latch.open()
      assert.deepEqual([...x.readSync()], [expected])
    }
  })

  test("§7: graphs captured with the same events and aux stream share nothing, and neither does later eager work", () => {
    const device = open()
    const arrays = Array.from({ length: 4 }, () => device.zeros("int32", 4))
    const [a, b, c, d] = arrays
    assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined)
    using aux = device.createStream()
    using e0 = device.createEvent()
    using e1 = device.createEvent()
    using latch = new Latch(device)
    const both = (fn0: () => void, fn1: () => void): void => void maybeExecuteInParallel(fn0, fn1, e0, e1, aux)
    const add = (x: DeviceArray<"int32">, value: number) => () => affine.launch(over(4), 4, x, 1, value)
    using held = captureGraph(() => {
      both(add(a, 1), () => {
        latch.hold()
        add(b, 1)()
      })
      add(b, 10)()
    })
    using free = captureGraph(() => {
      both(add(c, 1), add(d, 1))
      both(add(c, 10), add(d, 10))
      add(d, 100)()
    })
    using first = device.createStream()
    using second = device.createStream()
    held.launch(first)
    for (let round = 1; round <= 3; round++) {
      free.launch(second)
      second.synchronize()
      both(add(c, 1000), add(d, 1000))
      device.defaultStream.synchronize()
      assert.deepEqual([c.readSync()[0], d.readSync()[0]], [1011 * round, 1111 * round])
    }
    assert.ok(isHeld(first))
    latch.open()
    first.synchronize()
    assert.deepEqual([a.readSync()[0], b.readSync()[0]], [1, 11])
    for (const array of arrays) array.dispose()
  })

  test("§7: overlapping updates take effect one after the other, in place or not", async () => {
    using device = open()
    using x = number(device, 1)
    using graph = captureGraph(() => change(x, 1, 1))
    const { opened, open: go } = gate()
    const updates = [
      graph.update(async () => {
        await opened
        for (let count = 0; count < 3; count++) change(x, 2, 0)
      }),
      graph.update(async () => {
        await opened
        change(x, 1, 10)
      }),
    ]
    go()
    await Promise.all(updates)
    graph.launch()
    assert.deepEqual([...x.readSync()], [11])
  })

  test("§8: disposing of a graph between the end of an update and its promise does not harm other graphs", async () => {
    using device = open()
    using x = number(device, 1)
    const graph = captureGraph(() => change(x, 1, 1))
    const { opened, open: go } = gate()
    const update = graph.update(async () => opened.then(() => change(x, 1, 2)))
    let next: { launch(): void; dispose(): void } | undefined
    const between = async () => {
      await opened
      await Promise.resolve()
      graph.dispose()
      next = captureGraph(() => change(x, 5, 0))
    }
    const started = between()
    go()
    await Promise.allSettled([update, started])
    next?.launch()
    assert.deepEqual([...x.readSync()], [5])
    next?.dispose()
  })

  test("§6 freeing: a graph's first launch does not wait for the uses of freed memory", unsanitized, async () => {
    using device = open()
    await prepare(device)
    const streams = [device.createStream(), device.createStream()]
    using third = device.createStream()
    const x = number(device, 1)
    using graph = captureGraph(() => device.full("int32", 1, 7))
    device.synchronize()
    using latch = new Latch(device)
    for (const stream of streams) {
      latch.hold(stream)
      affine.launch({ ...once, stream }, 1, x, 1, 1)
    }
    x.dispose()
    graph.launch(third)
    third.synchronize()
    assert.equal(
      streams.some((stream) => stream.query()),
      false,
    )
    latch.open()
    device.synchronize()
    for (const stream of streams) stream.dispose()
  })

  test("§5 rule 11: a fork whose join was refused can still be joined", async () => {
    using device = open()
    await prepare(device)
    using x = device.pinned("int32", 1)
    using latch = new Latch(device)
    const forked = fork(() => {
      latch.hold()
      affine.launch(once, 1, x, 1, 1)
    })
    refused(() => captureGraph(() => forked.join()), "AUX_STREAM_CAPTURING", "fork", "outside a capture")
    forked.dispose()
    assert.equal(isHeld(device.defaultStream), true)
    latch.open()
    device.defaultStream.synchronize()
    assert.equal(x.array[0], 1)
  })

  test("§5 rule 11: an outer fork disposed of in a capture is joined by the stream that it came from", async () => {
    using device = open()
    await prepare(device)
    using x = number(device, 1)
    using latch = new Latch(device)
    const forked = fork(() => void latch.hold())
    using graph = captureGraph(() => {
      change(x, 1, 1)
      forked.dispose()
    })
    assert.equal(graph.nodeCount, 1)
    assert.equal(isHeld(device.defaultStream), true)
    latch.open()
    device.synchronize()
  })

  test("§7: a fork of a capture cannot be joined outside, not even at a second try", () => {
    using device = open()
    using x = number(device, 1)
    for (const inside of [true, false]) {
      using graph = captureGraph(() => {
        const forked = fork(() => change(x, 1, 1))
        if (inside) forked.join()
        return forked
      })
      for (let time = 0; time < 3; time++)
        refused(() => graph.result.join(), "AUX_STREAM_CAPTURING", "fork", "joined outside")
      graph.launch()
      graph.result.dispose()
    }
    assert.deepEqual([...x.readSync()], [3])
  })

  test("§4 query: an unrecorded event is complete, whatever its pooled event was used for before", async () => {
    using device = open()
    await prepare(device)
    const [first, second] = [device.createStream(), device.createStream()]
    using latch = new Latch(device)
    latch.hold(first)
    second.wait(first)
    const events = Array.from({ length: 4 }, () => device.createEvent())
    for (const event of events) {
      assert.equal(event.query(), true)
      event.synchronize()
      event.dispose()
    }
    assert.equal(first.query(), false)
    latch.open()
    device.synchronize()
    for (const stream of [first, second]) stream.dispose()
  })
})

onHost("graphs beside broken streams", (open) => {
  const isBroken = (fn: () => void) => assert.throws(fn, KernelError)

  test("§7 host: a free behind a broken stream breaks no unrelated graph", unsanitized, () => {
    using device = open()
    const [broken, other] = [device.createStream(), device.createStream()]
    const x = number(device, 1)
    throwing.launch({ ...once, stream: broken }, 3)
    affine.launch({ ...once, stream: other }, 1, x, 1, 1)
    broken.run(() => isBroken(() => change(x, 1, 1) ?? broken.synchronize()))
    x.dispose()
    for (let count = 0; count < 3; count++) {
      using graph = captureGraph(() => device.full("int32", 1, 7))
      graph.launch()
      assert.deepEqual([...graph.result.readSync()], [7])
    }
  })

  test("§7 host: a graph whose kernel threw breaks the stream of that launch, and can be launched on another one", async () => {
    using device = open()
    using x = number(device, 1)
    using graph = captureGraph(() => {
      change(x, 1, 1)
      throwing.launch(once, 3)
    })
    const seen = [
      (stream: ReturnType<Device["createStream"]>) => stream.synchronize(),
      (stream: ReturnType<Device["createStream"]>) => {
        while (!stream.query());
      },
    ]
    const streams = [...seen, undefined].map(() => device.createStream())
    for (const [index, see] of seen.entries()) {
      const stream = streams[index]
      if (stream === undefined) continue
      stream.run(() => x.fill(index))
      graph.launch(stream)
      isBroken(() => see(stream))
    }
    const [, , last] = streams
    last?.run(() => x.fill(3))
    graph.launch(last)
    await assert.rejects(async () => last?.completed(), KernelError)
    device.defaultStream.synchronize()
    assert.throws(() => x.readSync(), KernelError)
    x.fill(4)
    graph.update(() => change(x, 2, 0))
    graph.launch()
    assert.deepEqual([...x.readSync()], [8])
    for (const stream of streams) stream.dispose()
  })
})
