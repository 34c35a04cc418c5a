/** The way of one kernel into the driver: its image, the driver's translation of it, its place in the device's context. */
import { AuxstreamError, CudaError } from "../runtime/errors.js"
import type { KernelParameter, KernelSource } from "../driver.js"
import { CMemory } from "./c-memory.js"
import type { CudaContext } from "./context.js"
import { inBackground } from "./ffi.js"
import type { LaunchableKernel } from "./launch.js"
import { encodings, parameterBytes, parameterText } from "./signature.js"
import { INVALID_VALUE, NOT_FOUND, SUCCESS } from "./status.js"

const SHARED_SIZE_BYTES = 1
const ERROR_LOG_BUFFER = 5
const ERROR_LOG_BUFFER_SIZE_BYTES = 6
const LOG_BYTES = 16 * 1024

/** A kernel, and what it keeps in the driver. */
export interface LoadedKernel extends LaunchableKernel {
  readonly library: number
  /** The driver writes here when it translates PTX, which may be after the image was loaded. */
  readonly jit: JitOptions
}

export function unload(context: CudaContext, library: number): void {
  const status = context.calls.cuLibraryUnload(library)
  if (status !== SUCCESS) context.warnOfLeak(status, "cuLibraryUnload")
}

/** Asks the driver for its log of translating PTX. */
class JitOptions {
  readonly #log = new CMemory(LOG_BYTES)
  readonly #options = new CMemory(8)
  readonly #values = new CMemory(16)
  readonly count = 2

  constructor() {
    this.#options.setInt(0, ERROR_LOG_BUFFER)
    this.#options.setInt(4, ERROR_LOG_BUFFER_SIZE_BYTES)
    this.#values.setNumber(0, this.#log.address)
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

/** One kernel on its way into the driver. */
export class Loading {
  readonly #context: CudaContext
  readonly #source: KernelSource
  readonly #image: CMemory
  readonly #jit = new JitOptions()
  readonly #out = new CMemory(16)
  #library = 0
  #kernel = 0
  #staticSharedMemory = 0

  constructor(context: CudaContext, source: KernelSource, image: Uint8Array) {
    this.#context = context
    this.#source = source
    // One byte more than the image: PTX must end with a zero.
    this.#image = new CMemory(image.length + 1)
    this.#image.bytes.set(image)
  }

  /** Loads the image and has the driver translate it for the device. */
  start(): void {
    const { calls, room } = this.#context
    this.#setLibrary(room.for(() => calls.cuLibraryLoadData(...this.#loadArguments())))
    this.#setKernel(room.for(() => calls.cuLibraryGetKernel(...this.#findArguments())))
    this.#setTranslated(room.for(() => calls.cuKernelGetAttribute(...this.#translateArguments())))
  }

  /** The same, on a thread of Node's pool. */
  async startInBackground(): Promise<void> {
    const { room } = this.#context
    const { cuLibraryLoadData, cuLibraryGetKernel, cuKernelGetAttribute } = this.#context.calls
    this.#setLibrary(await room.forBackground(() => inBackground(cuLibraryLoadData, ...this.#loadArguments())))
    // PTX is translated here (measured on an H100, driver 580).
    this.#setKernel(await room.forBackground(() => inBackground(cuLibraryGetKernel, ...this.#findArguments())))
    this.#setTranslated(
      await room.forBackground(() => inBackground(cuKernelGetAttribute, ...this.#translateArguments())),
    )
    this.#image.release()
  }

  #loadArguments(): [number, number, number, number, number, number, number, number] {
    const { options, values, count } = this.#jit
    return [this.#out.address, this.#image.address, options, values, count, 0, 0, 0]
  }

  #findArguments(): [number, number, string] {
    return [this.#out.address, this.#library, this.#source.name]
  }

  /** An attribute that is known only after the translation. */
  #translateArguments(): [number, number, number, number] {
    return [this.#out.address, SHARED_SIZE_BYTES, this.#kernel, this.#context.device]
  }

  #setLibrary(status: number): void {
    this.#checkImage(status, "cuLibraryLoadData")
    this.#library = this.#out.number(0)
  }

  #setKernel(status: number): void {
    if (status === NOT_FOUND) {
      throw new AuxstreamError(
        "AUX_KERNEL_INVALID",
        `The code of kernel "${this.#source.name}" has no such symbol: the kernel must be a __global__ function of this ` +
          'name, declared extern "C", without which C++ changes the name.',
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
    const log = this.#jit.text
    throw new AuxstreamError(
      "AUX_KERNEL_INVALID",
      `Kernel "${this.#source.name}" cannot be loaded: ${error.message}.${log === "" ? "" : `\n${log}`}`,
      { cause: error },
    )
  }

  /** Resolves the kernel in the device's context, loaded there, its parameters checked. */
  finish(): LoadedKernel {
    const entry = this.#resolve()
    this.#checkSignature()
    return {
      name: this.#source.name,
      function: entry,
      staticSharedMemory: this.#staticSharedMemory,
      encodings: encodings(this.#source.parameters),
      library: this.#library,
      jit: this.#jit,
    }
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
      // Before 12.4 there is no such call, and resolving a kernel is what loads it.
      if (cuFuncLoad !== undefined) {
        this.#checkImage(
          room.for(() => cuFuncLoad(entry)),
          "cuFuncLoad",
        )
      }
      return entry
    })
  }

  /** From 12.4 on the driver knows what the kernel expects. Before, a wrong signature is the user's to find. */
  #checkSignature(): void {
    if (this.#context.library.newer.cuKernelGetParamInfo === undefined) return
    const { name, parameters } = this.#source
    // The driver tells it with a context current only, although a kernel belongs to none.
    const expected = this.#context.within(() => this.#kernelParameterBytes())
    const given = parameters.map(parameterBytes)
    if (given.length === expected.length && given.every((bytes, index) => bytes === expected[index])) return
    throw new AuxstreamError(
      "AUX_KERNEL_INVALID",
      `The signature of kernel "${name}" does not fit its code. Signature: ${list(parameters, given)}. Code: ` +
        `${expected.length} parameters of ${expected.join(", ")} bytes. ${advice(parameters, expected)}`,
    )
  }

  #kernelParameterBytes(): number[] {
    const { cuKernelGetParamInfo } = this.#context.library.newer
    const sizes: number[] = []
    const offset = this.#out.address
    for (;;) {
      const status = cuKernelGetParamInfo?.(this.#kernel, sizes.length, offset, offset + 8) ?? INVALID_VALUE
      if (status === INVALID_VALUE) return sizes // There is no parameter of this number.
      this.#context.check(status, "cuKernelGetParamInfo")
      sizes.push(this.#out.number(8))
    }
  }

  /** Undoes what was done, if the kernel will not be used. */
  abandon(): void {
    if (this.#library !== 0 && !this.#context.isLost) unload(this.#context, this.#library)
    this.#library = 0
  }
}

function list(parameters: readonly KernelParameter[], bytes: readonly number[]): string {
  const texts = parameters.map((parameter, index) => `${parameterText(parameter)} (${bytes[index]} bytes)`)
  return `${parameters.length} parameters, ${texts.join(", ") || "none"}`
}

function advice(parameters: readonly KernelParameter[], expected: readonly number[]): string {
  if (parameters.length !== expected.length) return "Give one entry for each parameter."
  const index = parameters.findIndex((parameter, place) => parameterBytes(parameter) !== expected[place])
  return `Mend entry ${index}, counted from 0.`
}
