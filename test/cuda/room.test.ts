/** Driver calls that run out of memory: they are repeated once memory has been released. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { LaunchShape } from "../../src/common/facts/launch-shape.js"
import type { Driver } from "../../src/driver/driver.js"
import type { StreamHandle } from "../../src/driver/handles.js"
import type { KernelSource } from "../../src/driver/modules.js"
import type { MatrixProduct } from "../../src/driver/products.js"
import { productTypes } from "../../src/common/dtype/product-types.js"
import { OutOfMemoryError } from "../../src/common/errors.js"
import { affine, kernel, Latch, launch, mark, never, noop, onDouble, open } from "./device.js"
import { withEnvironment } from "../support/environment.js"
import { double } from "./double.js"

/** CUDA_ERROR_OUT_OF_MEMORY, CUBLAS_STATUS_ALLOC_FAILED */
const [outOfMemory, allocationFailed] = [2, 3]
const MIB = 2 ** 20

interface Ready {
  readonly driver: Driver
  readonly stream: StreamHandle
  readonly address: number
}

/** The operations that need memory of the driver's own. Each is made once for each way of failing. */
const needs: readonly (readonly [call: string, need: (ready: Ready) => unknown, where?: string])[] = [
  ["cuStreamCreateWithPriority", ({ driver }) => driver.streams.create(0)],
  ["cuEventCreate", ({ driver }) => driver.events.create(false)],
  ["cuEventRecord", ({ driver, stream }) => driver.events.record(driver.events.create(false), stream)],
  ["cuMemcpyAsync", ({ driver, stream, address }) => driver.memory.copy(address, address + 64, 64, stream)],
  ["cuMemsetD8Async", ({ driver, stream, address }) => driver.memory.fill(address, new Uint8Array(1), 64, stream)],
  ["cuLibraryLoadData", ({ driver }) => driver.kernels.load(anotherKernel())],
  ["cuLibraryLoadData", ({ driver }) => driver.kernels.prepare(anotherKernel()), " in the background"],
  ["cuLibraryGetKernel", ({ driver }) => driver.kernels.load(anotherKernel())],
  ["cuLibraryGetKernel", ({ driver }) => driver.kernels.prepare(anotherKernel()), " in the background"],
  ["cuKernelGetFunction", ({ driver }) => driver.kernels.load(anotherKernel())],
  ["cuFuncLoad", ({ driver }) => driver.kernels.load(anotherKernel())],
  ["cuFuncLoad", ({ driver }) => driver.kernels.prepare(anotherKernel()), " in the background"],
  ["cuLaunchKernelEx", ({ driver, stream }) => launch(driver, stream, noop)],
  [
    "cuLaunchKernelEx",
    ({ driver, stream }) => {
      const attributes = { cluster: undefined, cooperative: true }
      driver.kernels.launch(stream, driver.kernels.load(noop), LaunchShape.of(), [], attributes)
    },
  ],
  ["cuStreamBeginCapture_v2", capture],
  ["cuGraphInstantiateWithFlags", capture],
  ["cuGraphLaunch", (ready) => ready.driver.graphs.launch(capture(ready), ready.stream)],
  ["cuGraphAddChildGraphNode", (ready) => capture(ready, capture(ready))],
  ["cublasLtCreate", multiply],
  ["cublasLtMatmul", multiply],
]

/** One that has not been loaded. */
function anotherKernel(): KernelSource {
  return kernel("test_noop", [])
}

function capture({ driver, stream }: Ready, inner?: number): number {
  driver.graphs.beginCapture(stream)
  try {
    launch(driver, stream, noop)
    if (inner !== undefined) driver.graphs.launch(inner, stream)
    return driver.graphs.endCapture(stream, undefined)
  } catch (error) {
    driver.graphs.cancelCapture(stream)
    throw error
  }
}

function multiply({ driver, stream, address }: Ready): void {
  const strides = { count: 1, strideA: 0, strideB: 0, strideOut: 0 }
  const array = { address, length: 4 }
  const product: MatrixProduct = {
    ...{ types: productTypes[0], a: array, b: array, out: { address: address + 64, length: 4 }, alpha: 1, beta: 0 },
    ...{ bias: undefined, scaleA: undefined, scaleB: undefined, activation: undefined },
    layout: { m: 2, n: 2, k: 2, transposeA: false, transposeB: false, ldA: 2, ldB: 2, ldOut: 2, ...strides },
  }
  driver.products?.multiply(product, address + 1024, stream)
}

function ready(driver: Driver): Ready {
  const stream = driver.streams.create(0)
  for (const source of [noop, affine]) driver.kernels.load(source)
  return { driver, stream, address: driver.memory.allocate(40 * MIB, stream, never) }
}

function openBy(by: string): Driver & Disposable {
  return withEnvironment({ AUXSTREAM_CUDA_MEMORY: by }, () => open())
}

/** A failure of another library is the cause of the error. */
function isOutOfMemory(error: unknown): boolean {
  return error instanceof OutOfMemoryError || (error instanceof Error && isOutOfMemory(error.cause))
}

/** Leaves free memory whose last use may not be over. */
function leaveIdle({ driver, stream }: Ready): void {
  driver.memory.free(driver.memory.allocate(64 * MIB, stream, never), stream, mark)
  driver.streams.synchronize(stream)
}

/** Makes this many calls fail from now on. */
function failShort(call: string, times: number): void {
  const status = call.startsWith("cublas") ? allocationFailed : outOfMemory
  for (let time = 1; time <= times; time++) double.fail(call, time, status)
}

for (const by of ["", "driver"]) {
  onDouble(`room for the driver itself${by && ", each array the driver's own"}`, () => {
    for (const [call, need, where = ""] of needs) {
      test(`${call}${where}: if memory runs out, it is repeated after idle memory has been released`, async () => {
        using driver = openBy(by)
        const state = ready(driver)
        leaveIdle(state)
        const { reserved } = driver.memory.usage()
        failShort(call, 1)
        await need(state)
        assert.equal(double.failuresLeft(), 0)
        assert.ok(driver.memory.usage().reserved <= reserved - 64 * MIB)
      })

      test(`${call}${where}: a third time once everything that was freed is free, then it is out of memory`, async () => {
        using driver = openBy(by)
        const state = ready(driver)
        failShort(call, 3)
        const error: unknown = await Promise.resolve()
          .then(() => need(state))
          .then(
            () => undefined,
            (reason: unknown) => reason,
          )
        assert.ok(isOutOfMemory(error), String(error))
        assert.equal(double.failuresLeft(), 0)
        await need(state)
        driver.streams.synchronize(state.stream)
      })
    }

    test("it waits for frees behind queued work before it fails", () => {
      using driver = openBy(by)
      const state = ready(driver)
      const other = driver.streams.create(0)
      const before = driver.memory.usage().reserved
      const address = driver.memory.allocate(64 * MIB, other, never)
      using latch = new Latch(driver, 200).hold(other)
      driver.memory.free(address, other, mark)
      failShort("cuGraphInstantiateWithFlags", 2)
      const graph = capture(state)
      assert.equal(driver.streams.query(other), true)
      assert.equal(latch.timedOut, true)
      assert.ok(driver.memory.usage().reserved <= before)
      driver.graphs.launch(graph, state.stream)
      driver.streams.synchronize(state.stream)
    })
  })
}
