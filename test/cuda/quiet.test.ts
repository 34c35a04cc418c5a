/**
 * Nothing waits for the device in secret. Some calls make CUDA, and the double, wait for all running work. The library makes
 * them only while the device is idle.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { matmul, prepareMatmul } from "../../src/blas/index.js"
import {
  captureGraph,
  currentStream,
  defineKernel,
  type Device,
  openDevice,
  runIf,
  runWhile,
  type Stream,
} from "../../src/index.js"
import { refused, rejected } from "../support/errors.js"
import { once } from "../support/kernels.js"
import { Latch, onDouble, open, sourceOf, unknown, until } from "./device.js"
import { double } from "./double.js"

/** A kernel that has not been loaded. */
function fresh(name = "test_noop") {
  return defineKernel({ name, signature: [], cuda: { source: sourceOf(name, []) } })
}

/** Holds a stream until it is opened. At its end, the device is idle. */
class Hold {
  readonly #device: Device
  readonly #latch: Latch
  /** Kept: a stream that is collected first causes a warning. */
  readonly stream: Stream

  constructor(device: Device, stream: Stream = device.createStream()) {
    this.#device = device
    this.stream = stream
    this.#latch = new Latch(device.driver).hold(stream.state.handle)
  }

  open(): void {
    this.#latch.open()
  }

  get timedOut(): boolean {
    return this.#latch.timedOut
  }

  [Symbol.dispose](): void {
    this.open()
    if (!this.#device.disposed) this.#device.synchronize()
    this.#latch.free()
  }
}

/** Checks that no call of `fn` waits for the device. */
async function withoutWaiting<T>(fn: () => T): Promise<Awaited<T>> {
  const before = double.waits()
  const result = await fn()
  assert.equal(double.waits(), before, "a call waited for the device")
  return result
}

/** While a stream is held, the promise is pending and the event loop runs. Once it is released, the promise resolves. */
async function waitsBesideTheLoop(latch: Hold, start: () => Promise<unknown>): Promise<void> {
  await withoutWaiting(async () => {
    let done = false
    const promise = start().then(() => (done = true))
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
    assert.equal(done, false)
    latch.open()
    await promise
  })
  assert.equal(latch.timedOut, false)
}

const prepared = (device: Device) => () => fresh().prepare(device)

onDouble("§11 preparing a kernel waits for running work without blocking the event loop", () => {
  test("on our own stream", async () => {
    using device = openDevice("cuda:0")
    using latch = new Hold(device)
    await waitsBesideTheLoop(latch, prepared(device))
  })

  test("on a stream that was disposed of", async () => {
    using device = openDevice("cuda:0")
    const stream = device.createStream()
    using latch = new Hold(device, stream)
    stream.dispose()
    await waitsBesideTheLoop(latch, prepared(device))
  })

  test("on a stream that was held before it came into a capture", async () => {
    using device = openDevice("cuda:0")
    using held = device.createStream()
    using latch = new Hold(device, held)
    const noop = fresh()
    using graph = await captureGraph(
      async () => {
        held.wait(currentStream(device))
        held.run(() => device.createEvent().record().wait(currentStream(device)))
        await waitsBesideTheLoop(latch, prepared(device))
        noop.launch({ ...once, stream: held })
      },
      { device },
    )
    graph.launch(device.defaultStream)
    device.synchronize()
  })

  for (const [when, release] of [
    ["", () => {}],
    [", and that was disposed of meanwhile", (stream: Stream) => stream.dispose()],
  ] as const) {
    test(`on a stream of another library${when}`, async () => {
      using keeper = openDevice("cuda:0")
      const handle = keeper.driver.streams.create(0)
      using adopted = keeper.streamFromHandle(BigInt(handle))
      using latch = new Hold(keeper, adopted)
      release(adopted)
      await waitsBesideTheLoop(latch, prepared(keeper))
      adopted.dispose()
      keeper.driver.streams.destroy(handle)
    })
  }

  test("and is refused if the work does not end; so is a first launch, which queues nothing", async () => {
    using device = openDevice("cuda:0")
    using held = device.createStream()
    using latch = new Hold(device, held)
    await withoutWaiting(async () => {
      await rejected(() => fresh().prepare(device), "AUX_NOT_READY", "test_noop", "await kernel.prepare(device)")
      refused(() => fresh().launch({ ...once, stream: device.defaultStream }), "AUX_NOT_READY", "kernel.prepare")
    })
    assert.equal(device.defaultStream.query(), true)
    latch.open()
  })

  test("but not for work queued without end: a program that keeps the device busy can load kernels", async () => {
    using device = openDevice("cuda:0")
    using stream = device.createStream()
    const noop = fresh()
    await noop.prepare(device)
    const state = { done: false }
    const loading = fresh()
      .prepare(device)
      .finally(() => (state.done = true))
    while (!state.done) {
      for (let i = 0; i < 200; i++) noop.launch({ ...once, stream })
      await new Promise((resolve) => setImmediate(resolve))
    }
    await loading
  })

  test("also when CUDA loads kernels with their image", async () => {
    const path = process.env["AUXSTREAM_LIBCUDA"] ?? ""
    // Another path to the library reads its loading mode again.
    process.env["AUXSTREAM_LIBCUDA"] = path.replace("/lib", "/./lib")
    double.setEager(true)
    try {
      using device = openDevice("cuda:0")
      using latch = new Hold(device)
      await waitsBesideTheLoop(latch, prepared(device))
    } finally {
      double.setEager(false)
      process.env["AUXSTREAM_LIBCUDA"] = path
    }
  })
})

onDouble("§11 local memory", () => {
  test("has room from the time a kernel is loaded: its first launch does not wait", async () => {
    using device = openDevice("cuda:0")
    const deep = fresh("test_local")
    await deep.prepare(device)
    using latch = new Hold(device)
    await withoutWaiting(() => deep.launch({ ...once, stream: device.defaultStream }))
    latch.open()
  })

  test("is reserved ahead by its size, for other libraries' kernels", async () => {
    using device = openDevice("cuda:0")
    {
      using latch = new Hold(device)
      await waitsBesideTheLoop(latch, () => device.prepare({ localMemory: 20_000 }))
    }
    using latch = new Hold(device)
    await withoutWaiting(async () => {
      await device.prepare({ localMemory: 20_000 }).catch(() => {})
    })
    latch.open()
  })

  test("for which there is no memory is refused", async () => {
    using device = openDevice("cuda:0")
    double.setMostLocalMemory(10_000)
    try {
      await rejected(() => fresh("test_local").prepare(device), "AUX_OUT_OF_MEMORY", "test_local", "16384 bytes")
      await rejected(() => device.prepare({ localMemory: 30_000 }), "AUX_OUT_OF_MEMORY", "30000 bytes")
    } finally {
      double.setMostLocalMemory(2 ** 19)
    }
  })
})

onDouble("§11 streams", () => {
  const made = () => double.count("cuStreamCreateWithPriority")

  test("are created ahead, without blocking the event loop, and unused ones are destroyed", async () => {
    using device = openDevice("cuda:0")
    const streams = [device.defaultStream, device.createStream(), device.createStream()]
    using latch = new Hold(device, streams[0])
    const [before, { streams: alive }] = [made(), double.alive()]
    await waitsBesideTheLoop(latch, () => device.prepare({ streams: 50 }))
    assert.equal(made() - before, 50 - streams.length)
    await until(() => double.alive().streams === alive)
  })

  test("that exist already cost nothing", async () => {
    using device = openDevice("cuda:0")
    await device.prepare({ streams: 50 })
    using latch = new Hold(device)
    const before = made()
    await withoutWaiting(() => device.prepare({ streams: 50 }))
    assert.equal(made(), before)
    latch.open()
  })

  test("of which one cannot be created leave none behind", async () => {
    using device = openDevice("cuda:0")
    void device.defaultStream
    const { streams } = double.alive()
    double.fail("cuStreamCreateWithPriority", 20, unknown)
    await rejected(() => device.prepare({ streams: 50 }), "AUX_CUDA_FAILED", "cuStreamCreateWithPriority")
    await until(() => double.alive().streams === streams)
    await device.prepare({ streams: 50 })
  })
})

onDouble("§11 conditionals", () => {
  test("are loaded ahead by device.prepare(): the first one does not wait", async () => {
    using _keeper = open() // A device loads them itself only if it is the first one.
    using device = openDevice("cuda:0")
    await device.prepare()
    using flag = device.zeros("int32", 1)
    using out = device.zeros("int32", 1)
    using latch = new Hold(device)
    const graph = await withoutWaiting(() => captureGraph(() => runIf(flag, () => void out.fill(1)), { device }))
    await withoutWaiting(() => graph.launch(device.defaultStream))
    latch.open()
    graph.dispose()
  })

  test("that are not loaded are refused while something runs, and the error says what to do", () => {
    using _keeper = open() // A device loads them itself only if it is the first one.
    using device = openDevice("cuda:0")
    using flag = device.zeros("int32", 1)
    using latch = new Hold(device)
    const capture = () => captureGraph(() => runWhile(flag, () => void flag.fill(0)), { device })
    refused(capture, "AUX_NOT_READY", "runIf() and runWhile()", "await device.prepare()")
    latch.open()
  })

  test("in a graph that is disposed of while something runs: it is destroyed when nothing does", async () => {
    using device = openDevice("cuda:0")
    await device.prepare()
    using flag = device.zeros("int32", 1)
    const capture = () => captureGraph(() => runIf(flag, () => void flag.fill(0)), { device })
    device.synchronize()
    {
      using latch = new Hold(device)
      await withoutWaiting(() => {
        for (let i = 0; i < 3; i++) capture().dispose()
      })
      assert.equal(double.alive().executables, 3)
      latch.open()
      device.synchronize()
    }
    await until(() => {
      capture().dispose()
      return double.alive().executables === 0
    })
  })

  test("in many disposed graphs: only a few are kept, however busy the device is", () => {
    using device = openDevice("cuda:0")
    using flag = device.zeros("int32", 1)
    const noop = fresh()
    let slow = 0
    for (let i = 0; i < 100; i++) {
      noop.launch({ ...once, stream: device.defaultStream })
      const graph = captureGraph(() => runIf(flag, () => void flag.fill(0)), { device })
      const start = performance.now()
      graph.dispose()
      // On a machine that does not run the kernel for so long, the disposal gives up, and one more graph is kept.
      if (performance.now() - start >= 20) slow++
      const { executables } = double.alive()
      assert.ok(executables <= 17 + slow, `${executables} are kept, and ${slow} disposals were slow`)
    }
  })
})

onDouble("§11 products", () => {
  const square = { m: 2, n: 2, k: 2 }

  test("that are prepared do not wait, and preparing them waits beside the event loop", async () => {
    using device = openDevice("cuda:0")
    using x = device.from(Float32Array.of(1, 2, 3, 4))
    using out = device.zeros("float32", 4)
    device.synchronize()
    {
      using latch = new Hold(device)
      await waitsBesideTheLoop(latch, () => prepareMatmul(device, { dtype: "float32", ...square, activation: "relu" }))
    }
    using latch = new Hold(device)
    await withoutWaiting(async () => {
      matmul({ a: x, b: x, out, ...square, activation: "relu", stream: device.defaultStream })
      await prepareMatmul(device, { dtype: "float32", ...square, activation: "relu" })
      assert.deepEqual(await out.read(), Float32Array.of(7, 10, 15, 22))
    })
    assert.equal(latch.timedOut, false)
  })

  test("that are being prepared when the device is disposed of", async () => {
    const device = openDevice("cuda:0")
    const latch = new Hold(device)
    const prepared = prepareMatmul(device, { dtype: "float32", ...square })
    device.dispose()
    latch.open()
    await rejected(() => prepared, "AUX_DISPOSED")
    latch[Symbol.dispose]()
  })

  test("of a kind that cuBLAS has computed before do not wait; others are made while the device is idle", async () => {
    using device = openDevice("cuda:0")
    using x = device.zeros("float32", 4)
    using out = device.zeros("float32", 4)
    using half = device.zeros("float16", 4)
    matmul({ a: x, b: x, out, ...square })
    device.synchronize()
    using latch = new Hold(device)
    await withoutWaiting(() => {
      matmul({ a: x, b: x, out, ...square })
      const other = () => matmul({ a: half, b: half, out, ...square })
      refused(other, "AUX_NOT_READY", "2 x 2 by 2 x 2 in float16")
      latch.open()
      other()
    })
    assert.equal(latch.timedOut, false)
  })
})

onDouble("§8 device.prepare", () => {
  test("refuses unknown options", async () => {
    using device = openDevice("cuda:0")
    const prepare = (options: unknown) => Reflect.apply(device.prepare, device, [options]) as Promise<void>
    await rejected(() => prepare(5), "AUX_INVALID_ARGUMENT", "options")
    await rejected(() => prepare({ conditional: true }), "AUX_INVALID_ARGUMENT", "conditional", "localMemory")
    await rejected(() => prepare({ conditionals: 1 }), "AUX_INVALID_ARGUMENT", "conditionals", "1")
    for (const localMemory of [-1, 1.5, "8", 2 ** 20]) {
      await rejected(() => prepare({ localMemory }), "AUX_OUT_OF_RANGE", "localMemory", "524288")
    }
    await rejected(() => prepare({ streams: -1 }), "AUX_OUT_OF_RANGE", "streams", "4096")
    device.dispose()
    await rejected(() => prepare({}), "AUX_DISPOSED")
  })

  test("fails if its device is disposed of", async () => {
    using _keeper = open() // A device loads them itself only if it is the first one.
    const device = openDevice("cuda:0")
    using latch = new Hold(device)
    const preparing = Promise.allSettled([device.prepare(), device.prepare({ localMemory: 20_000 })])
    device.dispose()
    latch.open()
    for (const result of await preparing) {
      assert.ok(result.status === "rejected")
      refused(() => {
        throw result.reason
      }, "AUX_DISPOSED")
    }
  })
})
