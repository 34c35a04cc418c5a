import assert from "node:assert/strict"
import { test } from "node:test"
import {
  AuxstreamError,
  captureGraph,
  type DeviceArray,
  fork,
  KernelError,
  maybeExecuteInParallel,
  parallel,
} from "../../src/index.js"
import { forEachOpenDevice, onHost } from "../support/devices.js"
import { affine, combine, over, prepare, throwing, throwingLater } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { unsanitized } from "../support/races.js"

const length = 64

forEachOpenDevice("captures that fail", (open) => {
  test("a throw at each possible place leaves the streams usable and another capture possible", () => {
    using device = open()
    using aux = device.createStream()
    using e0 = device.createEvent()
    using e1 = device.createEvent()
    using x = device.from(new Int32Array(length).fill(1))
    device.synchronize()
    const used = device.memory.used
    const program = (place: number) => () => {
      let count = 0
      const step = () => {
        if (++count === place) throw new Error(`at ${place}`)
      }
      step()
      const y = device.full("int32", length, 2)
      step()
      maybeExecuteInParallel(
        () => {
          step()
          affine.launch(over(length), length, x, 3, 1)
          step()
        },
        () => {
          step()
          affine.launch(over(length), length, y, 3, 1)
          step()
        },
        e0,
        e1,
        aux,
      )
      step()
      const forked = fork(() => {
        step()
        affine.launch(over(length), length, y, 5, 1)
        step()
      })
      step()
      forked.join()
      parallel([step, step])
      combine.launch(over(length), length, y, x)
      step()
      return count
    }
    using whole = captureGraph(program(0))
    const places = whole.result
    whole.dispose()
    assert.ok(places > 10)
    for (let place = 1; place <= places; place++) {
      assert.throws(() => captureGraph(program(place)), { message: `at ${place}` })
      for (const stream of [aux, device.defaultStream]) {
        stream.run(() => affine.launch(over(length), length, x, 1, 0))
        stream.synchronize()
      }
      assert.equal(device.memory.used, used, `after a throw at ${place}`)
    }
    using again = captureGraph(program(0))
    again.launch()
    assert.deepEqual(x.readSync(), new Int32Array(length).fill(4 * 3 + 36))
  })

  test("so does a rejection of an async function", async () => {
    using device = open()
    using x = device.zeros("int32", length)
    const failure = new Error("on purpose")
    await assert.rejects(
      captureGraph(async () => {
        affine.launch(over(length), length, x, 1, 1)
        await Promise.resolve()
        const forked = fork(async () => {
          await Promise.resolve()
          affine.launch(over(length), length, x, 1, 1)
        })
        await forked.join()
        throw failure
      }),
      failure,
    )
    assert.deepEqual(await x.read(), new Int32Array(length))
    using graph = captureGraph(() => affine.launch(over(length), length, x, 1, 1))
    graph.launch()
    assert.deepEqual(await x.read(), new Int32Array(length).fill(1))
  })

  test("so does running out of memory", () => {
    using device = open()
    device.synchronize()
    const { used } = device.memory
    assert.throws(
      () =>
        captureGraph(() => {
          const arrays: DeviceArray[] = []
          for (;;) arrays.push(device.empty("uint8", 2 ** 40))
        }),
      { code: "AUX_OUT_OF_MEMORY" },
    )
    device.synchronize()
    assert.equal(device.memory.used, used)
    using graph = captureGraph(() => device.full("int32", length, 3))
    graph.launch()
    assert.deepEqual(graph.result.readSync(), new Int32Array(length).fill(3))
  })
})

onHost("kernels that throw in a graph", (open) => {
  const errorOf = (fn: () => unknown): unknown => {
    try {
      fn()
    } catch (error) {
      return error
    }
    return undefined
  }

  const kernelError = (fn: () => unknown): KernelError => {
    const error = errorOf(fn)
    assert.ok(error instanceof KernelError, `a KernelError was expected, not: ${String(error)}`)
    return error
  }

  function failing(x: DeviceArray<"int32">, where: "main" | "aux", fail: () => boolean) {
    const step = (name: string) => () => {
      affine.launch(over(length), length, x, 1, 1)
      if (name === where && fail()) throwing.launch({ grid: 1, block: 1 }, 7)
    }
    return captureGraph(() => {
      parallel([step("main"), step("aux")])
      affine.launch(over(length), length, x, 1, 1)
    })
  }

  for (const where of ["main", "aux"] as const) {
    test(
      `on the ${where} branch: the launch stream breaks, and the graph can be launched on another stream`,
      unsanitized,
      () => {
        using device = open()
        using x = device.zeros("int32", length)
        using graph = failing(x, where, () => true)
        device.synchronize()
        const stream = device.createStream()
        graph.launch(stream)
        const error = kernelError(() => stream.synchronize())
        assert.equal(error.kernel, "test_throwing")
        assert.match(error.message, /thrown on purpose: 7/)
        assert.equal(
          kernelError(() => stream.query()),
          error,
        )
        assert.equal(
          kernelError(() => graph.launch(stream)),
          error,
        )
        stream.dispose()
        using next = device.createStream()
        assert.equal(next.query(), true)
        assert.equal(
          graph.update(() => {
            parallel([
              () => affine.launch(over(length), length, x, 1, 1),
              () => affine.launch(over(length), length, x, 1, 1),
            ])
          }),
          false,
        )
        assert.equal(
          kernelError(() => graph.launch(next)),
          error,
          "x is garbage",
        )
        next.run(() => x.fill(0))
        graph.launch(next)
        next.synchronize()
      },
    )
  }

  test("launches ordered after a failed one break with its error as their cause", async () => {
    using device = open()
    await prepare(device)
    using flags = device.pinned("int32", 2)
    const first = device.createStream()
    const second = device.createStream()
    using graph = captureGraph(() => {
      using forked = fork(() => throwingLater.launch({ grid: 1, block: 1 }, flags))
      forked.join()
    })
    graph.launch(first)
    graph.launch(second)
    Atomics.store(flags.array, 0, 1)
    Atomics.notify(flags.array, 0)
    const error = kernelError(() => first.synchronize())
    const later = kernelError(() => second.synchronize())
    assert.equal(later.cause, error)
    first.dispose()
    second.dispose()
    using third = device.createStream()
    graph.launch(third)
    assert.match(kernelError(() => third.synchronize()).message, /thrown on purpose, later/)
  })

  test("the memory of a failed launch is not reused while one of its branches still runs", async () => {
    using device = open()
    await prepare(device)
    using latch = new Latch(device)
    const stream = device.createStream()
    const graph = captureGraph(() => {
      const y = device.full("int32", length, 1)
      using forked = fork(() => {
        latch.hold()
        affine.launch(over(length), length, y, 1, 1)
      })
      throwing.launch({ grid: 1, block: 1 }, 1)
      forked.join()
      return y
    })
    const { address } = graph.result
    graph.launch(stream)
    latch.waitUntilEntered()
    while (errorOf(() => affine.launch({ ...over(1), stream }, 1, graph.result, 1, 1)) === undefined);
    graph.dispose()
    stream.dispose()
    const others: DeviceArray[] = []
    for (let count = 0; count < 50; count++) {
      const other = device.full("int32", length, -1)
      assert.notEqual(other.address, address)
      others.push(other)
    }
    latch.open()
    for (const other of others) assert.deepEqual(other.readSync(), new Int32Array(length).fill(-1))
    for (const other of others) other.dispose()
    assert.equal(latch.timedOut, false)
  })

  test("a failure that is known before the next launch breaks only its own stream", unsanitized, () => {
    using device = open()
    using x = device.zeros("int32", length)
    let fails = true
    using graph = failing(x, "aux", () => fails)
    for (let count = 0; count < 20; count++) {
      const stream = device.createStream()
      stream.run(() => x.fill(0))
      graph.launch(stream)
      assert.ok(errorOf(() => stream.synchronize()) instanceof AuxstreamError)
      stream.dispose()
    }
    fails = false
    using sound = failing(x, "aux", () => fails)
    using stream = device.createStream()
    stream.run(() => x.fill(0))
    sound.launch(stream)
    stream.synchronize()
  })
})
