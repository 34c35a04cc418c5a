/**
 * Loads one kernel into the driver: its image, the driver's translation of it, its function in the device's context. A load
 * that fails must leave nothing in the driver.
 */
import { AuxstreamError, CudaError } from "../../common/errors.js"
import type { KernelParameter, KernelSource } from "../../driver.js"
import { CMemory } from "../native/c-memory.js"
import type { CudaContext } from "../api/context.js"
import { inBackground } from "../native/ffi.js"
import { reserveLocalMemory } from "./local-memory.js"
import { checkImage } from "./image.js"
import type { LaunchableKernel } from "./launch.js"
import { ArgumentBlock } from "./argument-block.js"
import { encodings } from "./argument-encoding.js"
import { flatten } from "../../common/struct/flat.js"
import { parameterBytes } from "../../common/struct/layout.js"
import { parameterText } from "../../common/struct/text.js"
import { INVALID_VALUE, NOT_FOUND, SUCCESS } from "../api/status.js"

const SHARED_SIZE_BYTES = 1
const LOCAL_SIZE_BYTES = 3
const ERROR_LOG_BUFFER = 5
const ERROR_LOG_BUFFER_SIZE_BYTES = 6
const LOG_BYTES = 16 * 1024

/** A loaded kernel and its library in the driver. */
export interface LoadedKernel extends LaunchableKernel {
  readonly library: number
}

export function unload(context: CudaContext, library: number): void {
  context.holding.remove(library)
  const status = context.calls.cuLibraryUnload(library)
  if (status !== SUCCESS) context.warnOfLeak(status, "cuLibraryUnload")
}

/**
 * The buffer for the driver's PTX errors. The driver may still write to it after the image is loaded, so the buffer is never
 * freed but reused.
 */
class JitLog {
  static readonly #idle: JitLog[] = []
  readonly #log = new CMemory(LOG_BYTES)
  readonly #options = new CMemory(8)
  readonly #values = new CMemory(16)
  readonly count = 2
  #isIdle = false

  static acquire(): JitLog {
    const log = JitLog.#idle.pop() ?? new JitLog()
    log.#isIdle = false
    return log
  }

  /** Called once the kernel is loaded or has failed. */
  release(): void {
    if (this.#isIdle) return
    this.#isIdle = true
    JitLog.#idle.push(this)
  }

  constructor() {
    this.#options.setInt(0, ERROR_LOG_BUFFER)
    this.#options.setInt(4, ERROR_LOG_BUFFER_SIZE_BYTES)
    this.#values.setNumber(0, this.#log.address)
  }

  /** Must be called before each call that gets the buffer. */
  clear(): void {
    this.#log.bytes[0] = 0
    // The driver replaces this size by the text's length.
    this.#values.setNumber(8, LOG_BYTES)
  }

  get options(): number {
    return this.#options.address
  }

  get values(): number {
    return this.#values.address
  }

  get text(): string {
    return this.#log.text().trim()
  }
}

/** The loading of one kernel. */
export class Loading {
  readonly #context: CudaContext
  readonly #source: KernelSource
  readonly #image: CMemory
  readonly #log: JitLog
  readonly #out = new CMemory(16)
  #library = 0
  #kernel = 0
  #staticSharedMemory = 0

  /** @throws AuxstreamError AUX_KERNEL_INVALID if the image is incomplete */
  constructor(context: CudaContext, source: KernelSource, image: Uint8Array) {
    this.#context = context
    this.#source = source
    // One byte more than the image, because PTX must end with a zero.
    this.#image = new CMemory(image.length + 1)
    this.#image.bytes.set(image)
    // We check our copy, because the caller may change the original.
    checkImage(source.name, this.#image.bytes.subarray(0, image.length))
    this.#log = JitLog.acquire()
  }

  /** Loads the image and makes the driver translate it for the device. If that fails, nothing stays loaded. */
  start(): void {
    const { calls, room } = this.#context
    try {
      this.#setLibrary(room.for(() => calls.cuLibraryLoadData(...this.#loadArguments())))
      this.#setKernel(room.for(() => calls.cuLibraryGetKernel(...this.#findArguments())))
      this.#setTranslated(room.for(() => calls.cuKernelGetAttribute(...this.#translateArguments())))
    } catch (error) {
      this.abandon()
      throw error
    }
  }

  /** Like {@link start}, on a thread of Node's pool. */
  async startInBackground(): Promise<void> {
    const { room } = this.#context
    const { cuLibraryLoadData, cuLibraryGetKernel, cuKernelGetAttribute } = this.#context.calls
    try {
      this.#setLibrary(await room.forBackground(() => inBackground(cuLibraryLoadData, ...this.#loadArguments())))
      // This call translates the PTX (measured on an H100, driver 580).
      this.#setKernel(await room.forBackground(() => inBackground(cuLibraryGetKernel, ...this.#findArguments())))
      this.#setTranslated(
        await room.forBackground(() => inBackground(cuKernelGetAttribute, ...this.#translateArguments())),
      )
      this.#image.release()
    } catch (error) {
      this.abandon()
      throw error
    }
  }

  #loadArguments(): [number, number, number, number, number, number, number, number] {
    this.#log.clear()
    const { options, values, count } = this.#log
    return [this.#out.address, this.#image.address, options, values, count, 0, 0, 0]
  }

  #findArguments(): [number, number, string] {
    return [this.#out.address, this.#library, this.#source.symbol]
  }

  /** Reads an attribute that is known only after the translation. */
  #translateArguments(): [number, number, number, number] {
    return [this.#out.address, SHARED_SIZE_BYTES, this.#kernel, this.#context.device]
  }

  #setLibrary(status: number): void {
    this.#checkImage(status, "cuLibraryLoadData")
    this.#library = this.#out.number(0)
    this.#context.holding.add("library", this.#library)
  }

  #setKernel(status: number): void {
    if (status === NOT_FOUND) {
      throw new AuxstreamError(
        "AUX_KERNEL_INVALID",
        `The code of kernel "${this.#source.name}" has no symbol of that name: the kernel must be a __global__ function ` +
          'declared extern "C", because C++ mangles other names.',
      )
    }
    this.#checkImage(status, "cuLibraryGetKernel")
    this.#kernel = this.#out.number(0)
  }

  #setTranslated(status: number): void {
    this.#checkImage(status, "cuKernelGetAttribute")
    this.#staticSharedMemory = this.#out.int(0)
  }

  #checkImage(status: number, call: string): void {
    if (status === SUCCESS) return
    const error = this.#context.failure(status, call)
    if (!(error instanceof CudaError)) throw error
    const log = this.#log.text
    throw new AuxstreamError(
      "AUX_KERNEL_INVALID",
      `Kernel "${this.#source.name}" cannot be loaded: ${error.message}.${log === "" ? "" : `\n${log}`}`,
      { cause: error },
    )
  }

  /**
   * Loads the kernel into the device's context, checks its parameters and makes room for its local memory. The device must
   * be idle.
   */
  finish(): LoadedKernel {
    const entry = this.#resolve()
    this.#checkSignature()
    reserveLocalMemory(this.#context, this.#localMemory(), `Kernel "${this.#source.name}"`)
    this.#log.release()
    const flat = flatten(this.#source.parameters)
    const kernel = {
      name: this.#source.name,
      function: entry,
      staticSharedMemory: this.#staticSharedMemory,
      encodings: encodings(flat.primitives),
      block: flat.byteLength === 0 ? undefined : ArgumentBlock.ofOne(flat),
      library: this.#library,
    }
    this.#library = 0
    return kernel
  }

  /** Bytes of local memory for each thread. */
  #localMemory(): number {
    const { calls, device } = this.#context
    const status = calls.cuKernelGetAttribute(this.#out.address, LOCAL_SIZE_BYTES, this.#kernel, device)
    this.#checkImage(status, "cuKernelGetAttribute")
    return this.#out.int(0)
  }

  #resolve(): number {
    const context = this.#context
    const { cuFuncLoad } = context.library.newer
    return context.within(() => {
      const { calls, out, room } = context
      this.#checkImage(
        room.for(() => calls.cuKernelGetFunction(out.address, this.#kernel)),
        "cuKernelGetFunction",
      )
      const entry = out.number(0)
      // Before CUDA 12.4 this call does not exist, and resolving a kernel loads it.
      if (cuFuncLoad !== undefined) {
        this.#checkImage(
          room.for(() => cuFuncLoad(entry)),
          "cuFuncLoad",
        )
      }
      return entry
    })
  }

  /** Drivers for CUDA 12.4 or later know a kernel's parameters. With older ones, a wrong signature is not detected. */
  #checkSignature(): void {
    if (this.#context.library.newer.cuKernelGetParamInfo === undefined) return
    const { name, parameters } = this.#source
    // The driver answers only while a context is current, although a kernel belongs to none.
    const expected = this.#context.within(() => this.#kernelParameterBytes())
    const given = parameters.map(parameterBytes)
    if (given.length === expected.length && given.every((bytes, index) => bytes === expected[index])) return
    throw new AuxstreamError(
      "AUX_KERNEL_INVALID",
      `The signature of kernel "${name}" does not match its code. Signature: ${list(parameters, given)}. Code: ` +
        `${expected.length} parameters of ${expected.join(", ")} bytes. ${advice(parameters, expected)}`,
    )
  }

  #kernelParameterBytes(): number[] {
    const { cuKernelGetParamInfo } = this.#context.library.newer
    const sizes: number[] = []
    const offset = this.#out.address
    for (;;) {
      const status = cuKernelGetParamInfo?.(this.#kernel, sizes.length, offset, offset + 8) ?? INVALID_VALUE
      if (status === INVALID_VALUE) return sizes // The kernel has no more parameters.
      this.#context.check(status, "cuKernelGetParamInfo")
      sizes.push(this.#out.number(8))
    }
  }

  /** Unloads the kernel, unless {@link finish} has succeeded. */
  abandon(): void {
    if (this.#library !== 0 && !this.#context.isLost) unload(this.#context, this.#library)
    this.#library = 0
    this.#log.release()
  }
}

function list(parameters: readonly KernelParameter[], bytes: readonly number[]): string {
  const texts = parameters.map((parameter, index) => `${parameterText(parameter)} (${bytes[index]} bytes)`)
  return `${parameters.length} parameters, ${texts.join(", ") || "none"}`
}

function advice(parameters: readonly KernelParameter[], expected: readonly number[]): string {
  if (parameters.length !== expected.length) return "The signature must have one entry for each parameter."
  const index = parameters.findIndex((parameter, place) => parameterBytes(parameter) !== expected[place])
  return `Fix parameter ${index} of the signature (the first is 0).`
}
