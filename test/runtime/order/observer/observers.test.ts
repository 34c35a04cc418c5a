import assert from "node:assert/strict"
import { describe, it } from "node:test"
import { matmul } from "../../../../src/blas/index.js"
import { AuxstreamError } from "../../../../src/common/errors.js"
import { cudaBackend } from "../../../../src/cuda/backend.js"
import type { Driver } from "../../../../src/driver/driver.js"
import type { ProductLibrary } from "../../../../src/driver/products.js"
import { hostBackend } from "../../../../src/host/backend.js"
import {
  captureGraph,
  currentStream,
  maybeExecuteInParallel,
  openDevice,
  parallel,
  runIf,
} from "../../../../src/index.js"
import { Device } from "../../../../src/runtime/device/device.js"
import { OperationObserver } from "../../../../src/runtime/order/observer/observer.js"
import { observe } from "../../../../src/runtime/order/observer/observers.js"
import { Operation } from "../../../../src/runtime/order/observer/operation.js"
import { skip } from "../../../cuda/double.js"
import { type DriverMethod, proxied } from "../../../support/driver-proxy.js"
import { affine, combine, once, over } from "../../../support/kernels.js"
import { Observed } from "../../../support/observed.js"
import { unsanitized } from "../../../support/races.js"
import { RecordingDriver } from "../../../support/recording-driver.js"

/** The driver's calls that queue an operation which uses memory. */
const queueing = new Set([
  ...["kernels.launch", "memory.copy", "memory.copyRows", "memory.upload", "memory.fill", "memory.fillRows"],
  ...["graphs.launch", "graphs.beginConditional"],
  ...["products.multiply", "products.multiplyGroup"],
])
/** Calls that prepare an operation: they make its stream wait. */
const preparing = new Set(["memory.orderBehindBirth", "graphs.orderBehindLaunch"])

/** Compares what the observer is shown with what the driver is asked for. */
class Comparing extends OperationObserver {
  readonly #open: Operation[] = []
  readonly calls: string[] = []

  override before(operation: Operation): void {
    this.#open.push(operation)
  }

  override accepted(operation: Operation, tick: number): void {
    assert.equal(this.#open.pop(), operation)
    assert.equal(tick, operation.stream.tick)
  }

  override refused(operation: Operation): void {
    assert.equal(this.#open.pop(), operation)
  }

  /** A call of the driver, with the handle of the stream that it queues on. */
  called(name: string, args: readonly unknown[]): void {
    if (!queueing.has(name) && !preparing.has(name)) return
    const operation = this.#open.at(-1)
    assert.ok(operation !== undefined, `${name} without a description`)
    assert.ok(args.includes(operation.stream.handle), `${name} on another stream than ${operation.label}`)
    if (queueing.has(name)) this.calls.push(`${operation.kind}: ${name}`)
  }

  get isIdle(): boolean {
    return this.#open.length === 0
  }
}

function compared(inner: Driver, comparing: Comparing): Driver {
  const driver = proxied(inner, (name, args, call) => {
    comparing.called(name, args)
    return call()
  })
  const products = inner.products && comparedProducts(inner.products, comparing)
  return new Proxy(driver, {
    get: (target, name): unknown => (name === "products" ? products : Reflect.get(target, name)),
  })
}

function comparedProducts(products: ProductLibrary, comparing: Comparing): ProductLibrary {
  return new Proxy(products, {
    get(target, name): unknown {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== "function") return member
      return (...args: unknown[]): unknown => {
        comparing.called(`products.${String(name)}`, args)
        return Reflect.apply(member, target, args)
      }
    },
  })
}

/** Queues every kind of operation, on streams that have to wait for what they use. */
function everything(device: Device): void {
  const x = device.from(Int32Array.of(1, 2, 3, 4))
  const y = device.zeros("int32", 4)
  const f = device.full("float32", 4, 1)
  const g = device.empty("float32", 4)
  const pinned = device.pinned("int32", 4)
  const flag = device.full("int32", 1, 1)
  const aux = device.createStream()
  aux.run(() => x.fill(0)) // Waits for the birth of x, and so must be described before it waits.
  const [event0, event1] = [device.createEvent(), device.createEvent()]
  maybeExecuteInParallel(
    () => combine.launch(over(4), 4, x, y),
    () => x.subarray(2).copyFrom(y.subarray(2)),
    event0,
    event1,
    aux,
  )
  x.copyFrom2D(y, { width: 1, height: 2, pitch: 2 })
  x.copyFrom2D(Int32Array.of(1, 2), { width: 1, height: 2, pitch: 2 })
  x.fill2D(1, { width: 1, height: 2, pitch: 2 })
  parallel([() => affine.launch(over(4), 4, x, 2, 1), () => y.fill(1), () => pinned.copyFrom(x)])
  aux.run(() => {
    y.copyFrom(pinned)
    matmul({ a: f, b: f, out: g, m: 2, n: 2, k: 2 })
    x.copyFrom(Int32Array.of(4, 3, 2, 1))
  })
  const graph = captureGraph(
    () => {
      const made = device.zeros("int32", 4)
      made.copyFrom(Int32Array.of(9, 9, 9, 9))
      maybeExecuteInParallel(
        () => combine.launch(over(4), 4, made, x),
        () => matmul({ a: f, b: f, out: g, m: 2, n: 2, k: 2 }),
        event0,
        event1,
        aux,
      )
      runIf(flag, () => y.fill(2))
      return made
    },
    { device },
  )
  const outer = captureGraph(() => combine.launch(over(4), 4, x, y), { device })
  const nested = captureGraph(() => outer.launch(), { device })
  for (const one of [graph, nested, outer]) one.launch()
  aux.wait(currentStream(device))
  for (const one of [graph, nested]) one.launch(aux)
  aux.external({ reads: [x], writes: [y] }, () => {})
  affine.launch({ ...once, stream: aux, uses: { writes: [g] } }, 1, x, 1, 0)
  aux.run(() => y.readSync())
  for (const one of [graph, nested, outer, event0, event1, aux, x, y, f, g, flag, pinned]) one.dispose()
}

describe("§6 operations: nothing is queued that was not described", () => {
  const drivers: { name: string; skip: string | false; open: () => Driver }[] = [
    { name: "host", skip: false, open: () => hostBackend.open(0, { threads: 2 }) },
    { name: "the CUDA driver's double", skip, open: () => cudaBackend.open(0, {}) },
  ]
  for (const { name, skip: reason, open } of drivers) {
    it(`on ${name}`, { skip: reason }, () => {
      const comparing = new Comparing()
      const inner = open()
      using device = new Device(inner.kind === "host" ? "host" : "cuda:0", compared(inner, comparing), () => {})
      const end = observe(comparing)
      try {
        device.defaultStream.run(() => everything(device))
        device.synchronize()
      } finally {
        end()
      }
      assert.ok(comparing.isIdle)
      const product = inner.kind === "host" ? "matmul: kernels.launch" : "matmul: products.multiply"
      assert.deepEqual(
        new Set(comparing.calls),
        new Set([
          ...["launch: kernels.launch", "copy: memory.copy", "upload: memory.upload", "upload: memory.copy"],
          ...["copy: memory.copyRows", "upload: memory.copyRows", "fill: memory.fillRows"],
          ...["fill: memory.fill", "read: memory.copy", "graph: graphs.launch"],
          ...["conditional: graphs.beginConditional", product],
        ]),
      )
    })
  }
})

describe("§6 operations: the driver refuses one", () => {
  it("the observer is told once, with the error, and the clock does not count it", () => {
    const recording = new RecordingDriver(hostBackend.open(0, { threads: 2 }))
    using device = new Device("host", recording.driver, () => {})
    const x = device.from(Int32Array.of(1, 2, 3, 4))
    const flag = device.zeros("int32", 1)
    const graph = captureGraph(() => affine.launch(over(4), 4, x, 2, 1), { device })
    const { state } = device.defaultStream
    const calls: [DriverMethod, label: string, () => unknown][] = [
      ["kernels.launch", "test_affine", () => affine.launch({ ...over(4), stream: device.defaultStream }, 4, x, 2, 1)],
      ["memory.copy", "copy", () => x.subarray(2).copyFrom(x.subarray(0, 2))],
      ["memory.upload", "upload", () => x.copyFrom(Int32Array.of(1, 2, 3, 4))],
      ["memory.fill", "fill", () => x.fill(1)],
      ["memory.copy", "read", () => x.readSync()],
      ["graphs.launch", "graph", () => graph.launch()],
      ["graphs.beginConditional", "if", () => captureGraph(() => runIf(flag, () => {}), { device })],
      ["graphs.endConditional", "if", () => captureGraph(() => runIf(flag, () => {}), { device })],
    ]
    for (const [method, label, call] of calls) {
      const error = new AuxstreamError("AUX_CUDA_FAILED", method)
      using observed = new Observed()
      const { tick } = state
      recording.failAt(method, 1, error)
      assert.throws(call, error)
      recording.forgetFailures()
      const told = observed.take().filter((line) => /^(refused|accepted)/.test(line))
      assert.deepEqual(told, [`refused ${label}: ${String(error)}`])
      assert.equal(state.tick, tick, label)
    }
    graph.dispose()
    assert.deepEqual(x.readSync(), Int32Array.of(1, 2, 3, 4))
  })
})

describe("§6 operations: without an observer", () => {
  it("nothing is described outside captures", unsanitized, (t) => {
    using device = openDevice("host")
    const x = device.from(Int32Array.of(1, 2, 3, 4))
    using graph = captureGraph(
      () => {
        x.fill(1)
      },
      { device },
    )
    const describing = t.mock.method(Operation, "show")
    const program = () => {
      affine.launch(over(4), 4, x, 2, 1)
      affine.launch({ ...over(4), uses: { reads: [x] } }, 4, x, 2, 1)
      x.fill(1)
      x.copyFrom(Int32Array.of(4, 3, 2, 1))
      x.subarray(0, 2).copyFrom(x.subarray(2))
      x.readSync()
      graph.launch()
    }
    program()
    assert.equal(describing.mock.callCount(), 0)
    const end = observe(new OperationObserver())
    program()
    end()
    assert.ok(describing.mock.callCount() > 0)
  })
})
