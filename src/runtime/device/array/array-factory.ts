/** Makes the arrays of one device, and releases their memory. A method that throws must have made nothing. */
import { checkAttached, checkInteger, isList, mustBe } from "../../../common/check.js"
import { checkDType, checkScalar, elementsOf } from "../../../common/dtype/elements.js"
import type { DType, ScalarOf, SourceOf } from "../../../common/dtype/dtype.js"
import { AuxstreamError } from "../../../common/errors.js"
import { bytesOf, lengthOf } from "../../../common/typed-array.js"
import { captureOf } from "../../capture/capture.js"
import { type Load, loadContents } from "../../load/load.js"
import { checkLoad, lengthIn, type LoadableFile, type LoadOptions } from "../../load/load-options.js"
import { SourceFile } from "../../load/source-file.js"
import { Staging } from "../../load/staging.js"
import { Allocation } from "../../memory/allocation.js"
import { PinnedAllocation } from "../../memory/pinned-allocation.js"
import { PinnedResources } from "../../memory/owned/pinned-resources.js"
import { OwnedResources } from "../../memory/owned/resources.js"
import type { ArrayMemory } from "../../memory/used-memory.js"
import type { StreamState } from "../../order/stream-state.js"
import { context } from "../context.js"
import { currentStream } from "../current.js"
import type { Device } from "../device.js"
import { DeviceArray } from "./device-array.js"
import { PinnedArray } from "./pinned-array.js"
import { scopeOf } from "./scope.js"

const MOST_ELEMENTS = Math.floor(Number.MAX_SAFE_INTEGER / 8)

/** A list is what programs pass that come from tensors. */
function checkLength(length: unknown): void {
  if (isList(length)) {
    const advice = "An array has a length, not a shape: multiply the dimensions, and pass them to the kernel as numbers"
    throw mustBe("length", "a number of elements", length, advice, "AUX_OUT_OF_RANGE")
  }
  checkInteger(length, "length", 0, MOST_ELEMENTS)
}

/** Allocates memory whose uses a region orders. */
export interface RegionArrays {
  /** @returns undefined if the region does not order what the calling code queues on the stream */
  allocate(stream: StreamState, byteLength: number): ArrayMemory | undefined
}

/** The arrays of one device. */
export class ArrayFactory {
  readonly #device: Device
  readonly #memory = new OwnedResources<ArrayMemory>("DeviceArray")
  readonly #pinned = new PinnedResources()
  /** For loads. */
  readonly staging: Staging
  /** Allocates for arrays that a region makes. */
  region: RegionArrays | undefined

  constructor(device: Device) {
    this.#device = device
    this.staging = new Staging(device.order)
  }

  /** See {@link Device.empty}. `contentsFollow`: its first contents are queued next. */
  empty<D extends DType>(dtype: D, length: number, contentsFollow = false): DeviceArray<D> {
    checkDType(dtype)
    checkLength(length)
    this.#device.checkUsable()
    const allocation = this.#allocate(length * elementsOf(dtype).byteLength, contentsFollow)
    const life = captureOf(currentStream(this.#device).state)?.life
    const array = new DeviceArray(this.#device, dtype, length, allocation, undefined, life)
    if (allocation instanceof Allocation) this.#memory.add(array, allocation)
    scopeOf(this.#device, context().scope)?.adopt(array)
    return array
  }

  #allocate(byteLength: number, contentsFollow: boolean): ArrayMemory {
    const { state } = currentStream(this.#device)
    const placed = this.region?.allocate(state, byteLength)
    if (placed !== undefined) return placed
    const capture = captureOf(state)
    if (capture !== undefined) {
      state.enter()
      return capture.memory.arena.allocate(state, byteLength)
    }
    return Allocation.on(state, byteLength, contentsFollow)
  }

  /** See {@link Device.full}. */
  full<D extends DType>(dtype: D, length: number, value: ScalarOf<D> | 0): DeviceArray<D> {
    checkDType(dtype)
    checkScalar(dtype, value, "value")
    const array = this.empty(dtype, length, true)
    return this.#withContents(array, () => array.fillChecked(value, !array.allocation.isPlaced))
  }

  /** Queues the first contents of a new array. If that throws, the array is disposed of. */
  #withContents<D extends DType>(array: DeviceArray<D>, initialise: () => unknown): DeviceArray<D> {
    try {
      initialise()
      if (array.length > 0) array.allocation.noteContents(currentStream(this.#device).state)
      return array
    } catch (error) {
      array.dispose()
      throw error
    }
  }

  /** See {@link Device.from}. */
  from(source: SourceOf<DType>, dtype: DType | undefined): DeviceArray {
    if (dtype === undefined) {
      const advice = isList(source) ? "Use Float32Array.from(source), or the typed array of another dtype" : undefined
      throw mustBe("source", "a typed array such as Float32Array, Uint8Array or BigInt64Array", source, advice)
    }
    checkDType(dtype)
    if (!elementsOf(dtype).holds(source)) {
      const allowed = `a ${elementsOf(dtype).create(0).constructor.name} for an array of ${dtype}`
      throw mustBe("source", allowed, source, undefined, "AUX_DTYPE_MISMATCH")
    }
    checkAttached(source, "source")
    const array: DeviceArray = this.empty(dtype, lengthOf(source), true)
    return this.#withContents(array, () => array.copyFirst(source))
  }

  /** See {@link Device.pinned}. */
  pinned<D extends DType>(dtype: D, length: number): PinnedArray<D> {
    checkDType(dtype)
    checkLength(length)
    const { driver, order } = this.#device
    this.#device.checkUsable()
    order.deferredReleases.retryHeld()
    order.deferredReleases.sweep()
    const byteLength = Math.max(1, length * elementsOf(dtype).byteLength)
    const memory = order.allocate(() => driver.memory.allocatePinned(byteLength))
    const allocation = new PinnedAllocation(order, memory)
    const array = new PinnedArray(this.#device, dtype, length, memory, allocation)
    bytesOf(array.array).fill(0)
    this.#pinned.add(memory.buffer, allocation)
    return array
  }

  /** See {@link Device.load}. */
  async load<D extends DType>(source: LoadableFile, options: LoadOptions<D>): Promise<DeviceArray<D>> {
    checkLoad(source, options)
    const device = this.#device
    device.checkUsable()
    device.order.captures.checkLook(currentStream(device).state.capture, "a file", "be loaded")
    const file = await SourceFile.open(source)
    try {
      const { dtype, offset = 0, signal } = options
      const length = lengthIn(file, elementsOf(dtype).byteLength, options)
      signal?.throwIfAborted()
      const { state: stream } = currentStream(device)
      const array = this.empty(dtype, length, true)
      await this.#loading(array, { file, offset, target: array, stream, signal, check: () => array.checkUsable() })
      return array
    } finally {
      await file.close()
    }
  }

  async #loading(array: DeviceArray, load: Load): Promise<void> {
    if (array.length === 0) return
    try {
      const isQueued = await loadContents(load, this.staging)
      if (isQueued) array.allocation.noteContents(load.stream)
    } catch (error) {
      array.dispose()
      throw error
    }
  }

  /** See {@link Device.wrap}. */
  wrap<D extends DType>(address: number, dtype: D, length: number): DeviceArray<D> {
    checkDType(dtype)
    const { byteLength } = elementsOf(dtype)
    checkInteger(length, "length", 0, MOST_ELEMENTS)
    checkInteger(address, "address", length === 0 ? 0 : 1, Number.MAX_SAFE_INTEGER - length * byteLength)
    if (address % byteLength !== 0) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `\`address\` must be a multiple of ${byteLength} for an array of ${dtype}; got ${address}`,
      )
    }
    const { driver, order } = this.#device
    this.#device.checkUsable()
    driver.memory.check?.(address, length * byteLength)
    return new DeviceArray(this.#device, dtype, length, Allocation.wrapping(order, address, length * byteLength))
  }

  dispose(allocation: ArrayMemory): void {
    this.#memory.dispose(allocation)
  }

  /** The device is closed. */
  disposeAll(): void {
    this.#memory.disposeAll()
    this.staging.close()
    this.#pinned.markDisposed()
  }
}
