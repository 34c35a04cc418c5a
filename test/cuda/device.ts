/** Shared by the tests of the CUDA driver: opening it on the double, and checking that nothing is left. */
import assert from "node:assert/strict"
import { afterEach, describe } from "node:test"
import { cudaBackend } from "../../src/cuda/backend.js"
import type { Driver } from "../../src/driver/driver.js"
import type { StreamHandle } from "../../src/driver/handles.js"
import type { OrderMark } from "../../src/driver/memory.js"
import type { CudaModuleBody } from "../../src/driver/module-body.js"
import type { KernelSource } from "../../src/driver/modules.js"
import { DriverLatch, parameters } from "../support/drivers.js"
import { double, skip } from "./double.js"

export { completed, launch, never, settled, thrownBy } from "../support/drivers.js"

/** CUDA_ERROR_UNKNOWN: a failure without further effects. */
export const unknown = 999

export const mark: OrderMark = { slot: 0, tick: 0 }

/** Milliseconds, enough for any machine; later ends count as failures. */
const LIMIT = 60_000

let lost = false

/** Notes that this test has lost a device. */
export function deviceIsLost(): void {
  lost = true
}

const warnings: Error[] = []
process.on("warning", (warning) => warnings.push(warning))

/** The warnings since the last call. */
export async function takeWarnings(): Promise<Error[]> {
  await new Promise((resolve) => setImmediate(resolve))
  for (const { name, message } of warnings) assert.equal(name, "AuxstreamWarning", message)
  return warnings.splice(0)
}

/** Tests on the double. After each, no resource may be left, and there must be no warning. */
export function onDouble(name: string, tests: () => void): void {
  describe(name, { skip }, () => {
    afterEach(async () => {
      double.failNothing()
      if (lost) {
        // A lost device frees everything except the context, which is released like any other.
        await until(() => double.alive().contexts === 0)
        double.forgetLost()
        lost = false
      }
      double.setStrict(false)
      await untilGone()
      assert.deepEqual(await takeWarnings(), [])
    })
    tests()
  })
}

/** Waits until closed devices have released everything. */
export async function untilGone(): Promise<void> {
  await until(() => Object.values(double.alive()).every((count) => count === 0)).catch(() => {
    throw new Error(`left over: ${JSON.stringify(double.alive())}`)
  })
  assert.equal(double.releasedWhileBusy(), 0, "a context was released while work was queued")
}

/** Waits for a condition without blocking the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + LIMIT
  while (!condition()) {
    if (performance.now() > end) throw new Error(`did not become true in ${LIMIT} ms: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** The latches of each driver. */
const latches = new WeakMap<Driver, Latch[]>()

/** A driver for a test. `using` closes it. */
export function open(ordinal = 0): Driver & Disposable {
  const driver = cudaBackend.open(ordinal, {})
  const close = (): void => {
    driver.close()
    for (const latch of latches.get(driver) ?? []) latch.free()
  }
  return Object.assign(driver, { [Symbol.dispose]: close })
}

/** A kernel of the double. */
export function kernel(name: string, signature: string[], body?: CudaModuleBody): KernelSource {
  const cuda = body ?? { source: sourceOf(name, signature) }
  const module = { name, label: `Kernel "${name}"`, cuda, host: undefined, globals: [], expressions: [] }
  return { name, parameters: parameters(...signature), module, symbol: name, export: name }
}

/** The same kernel in a module of its own, with this code: the same object is loaded once. */
export function withCode(source: KernelSource, cuda = source.module.cuda): KernelSource {
  return { ...source, module: { ...source.module, cuda } }
}

/** The same kernel, of no code for CUDA. */
export function withoutCode(source: KernelSource): KernelSource {
  return { ...source, module: { ...source.module, cuda: undefined } }
}

const CUDA_TYPES: Readonly<Record<string, string>> = {
  float16: "__half",
  bfloat16: "__nv_bfloat16",
  float32: "float",
  float64: "double",
  int8: "signed char",
  uint8: "unsigned char",
  int16: "short",
  uint16: "unsigned short",
  int32: "int",
  uint32: "unsigned int",
  int64: "long long",
  uint64: "unsigned long long",
}

/** CUDA C++ with this kernel's declaration. */
export function sourceOf(name: string, signature: string[]): string {
  const list = parameters(...signature).map(
    ({ dtype, access }, index) => `${CUDA_TYPES[dtype]}${access === undefined ? "" : "*"} p${index}`,
  )
  return `extern "C" __global__ void ${name}(${list.join(", ")}) {}`
}

export const noop = kernel("test_noop", [])
export const fault = kernel("test_fault", [])
export const saxpy = kernel("test_saxpy", ["int32", "float32", "in float32*", "inout float32*"])
export const affine = kernel("test_affine", ["int32", "inout int32*", "int32", "int32"])
const latchKernel = kernel("test_latch", ["inout int32*", "int32"])

/** Holds streams up until it is opened. Its flags stay until the driver is closed. */
export class Latch extends DriverLatch {
  readonly #driver: Driver

  /** `limit`: the milliseconds after which it opens by itself. */
  constructor(driver: Driver, limit = LIMIT) {
    super(driver, latchKernel, limit)
    this.#driver = driver
    latches.set(driver, [...(latches.get(driver) ?? []), this])
  }

  override hold(stream: StreamHandle): this {
    // CUDA loads no kernel while the latch is closed, so the tests' kernels are loaded before.
    for (const source of [noop, fault]) this.#driver.kernels.load(source)
    return super.hold(stream)
  }
}

/** Reads device memory. Blocks. */
export function read(driver: Driver, address: number, byteLength: number, stream: StreamHandle): Uint8Array {
  const pinned = driver.memory.allocatePinned(byteLength)
  driver.memory.copy(pinned.address, address, byteLength, stream)
  driver.streams.synchronize(stream)
  const bytes = new Uint8Array(pinned.buffer, pinned.byteOffset, byteLength).slice()
  driver.memory.freePinned(pinned.address)
  return bytes
}

/** The bytes of a typed array. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}
