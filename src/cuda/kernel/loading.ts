/** Loads one kernel of a loaded module: the driver's translation of it, and its function in the device's context. */
import { AuxstreamError, CudaError } from "../../common/errors.js"
import type { KernelParameter, KernelSource } from "../../driver/modules.js"
import { CMemory } from "../native/c-memory.js"
import type { CudaContext } from "../api/context.js"
import type { SlowCall, Steps } from "../native/steps.js"
import { reserveLocalMemory } from "./local-memory.js"
import type { LaunchableKernel } from "./launch.js"
import type { LoadedModule } from "./loaded-module.js"
import { listed, named } from "../image/symbols.js"
import { ArgumentBlock } from "./argument-block.js"
import { encodings } from "./argument-encoding.js"
import { flatten } from "../../common/struct/flat.js"
import { parameterBytes } from "../../common/struct/layout.js"
import { parameterText } from "../../common/struct/text.js"
import { INVALID_VALUE, NOT_FOUND, SUCCESS } from "../api/status.js"

const SHARED_SIZE_BYTES = 1
const LOCAL_SIZE_BYTES = 3
/** The longest text of a parameter in a message. */
const MOST_TEXT = 80

/** The loading of one kernel of a module that is loaded. */
export class KernelLoading {
  readonly #context: CudaContext
  readonly #source: KernelSource
  readonly #module: LoadedModule
  readonly #out = new CMemory(16)
  #kernel = 0
  #staticSharedMemory = 0

  constructor(context: CudaContext, source: KernelSource, module: LoadedModule) {
    this.#context = context
    this.#source = source
    this.#module = module
  }

  /** Finds the kernel, and makes the driver translate it for the device. */
  *start(): Steps<void> {
    const { calls, device, room } = this.#context
    const { address } = this.#out
    const symbol = this.#module.names.get(this.#source.symbol) ?? this.#source.symbol
    // This call translates the PTX (measured on an H100, driver 580).
    let status = yield this.#find(symbol)
    if (status === SUCCESS || status === NOT_FOUND) this.#module.endLog()
    if (status === NOT_FOUND) status = yield this.#find(this.#symbolNamed())
    this.#checkImage(status, "cuLibraryGetKernel")
    this.#kernel = this.#out.number(0)
    // An attribute that is known only after the translation.
    this.#checkImage(
      yield room.slow(calls.cuKernelGetAttribute, address, SHARED_SIZE_BYTES, this.#kernel, device),
      "cuKernelGetAttribute",
    )
    this.#staticSharedMemory = this.#out.int(0)
  }

  #find(symbol: string): SlowCall {
    const { calls, room } = this.#context
    return room.slow(calls.cuLibraryGetKernel, this.#out.address, this.#module.library, symbol)
  }

  /** The only symbol that has the kernel's name when it is unmangled. */
  #symbolNamed(): string {
    const { symbol, name } = this.#source
    const { kernels } = this.#module.symbols
    const [found, ...others] = named(symbol, kernels)
    if (found !== undefined && others.length === 0) return found
    const has = found === undefined ? "has no symbol of that name" : "has more than one function of that name"
    throw new AuxstreamError(
      "AUX_KERNEL_INVALID",
      `The code of kernel "${name}" ${has}: its symbol must be the name of one __global__ function; got ${JSON.stringify(symbol)}. ` +
        `Its kernels are ${listed(kernels)}. Give one of these symbols, or declare the function extern "C", because C++ ` +
        "mangles other names. CUDA C++ can also have a name expression such as `scale<float, 4>`, which the compiler instantiates.",
    )
  }

  #checkImage(status: number, call: string): void {
    if (status === SUCCESS) return
    const error = this.#context.failure(status, call)
    if (!(error instanceof CudaError)) throw error
    throw notLoaded(`Kernel "${this.#source.name}"`, error, this.#module.log?.text)
  }

  /**
   * Loads the kernel into the device's context, checks its parameters and makes room for its local memory. The device must
   * be idle.
   */
  finish(): LaunchableKernel {
    const entry = this.#resolve()
    this.#checkSignature()
    reserveLocalMemory(this.#context, this.#localMemory(), `Kernel "${this.#source.name}"`)
    this.#module.isProven = true
    const flat = flatten(this.#source.parameters)
    return {
      name: this.#source.name,
      function: entry,
      staticSharedMemory: this.#staticSharedMemory,
      encodings: encodings(flat.primitives),
      block: flat.byteLength === 0 ? undefined : ArgumentBlock.ofOne(flat),
    }
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
        `${counted(expected)}${expected.length === 0 ? "" : ` of ${expected.join(", ")} bytes`}. ` +
        advice(parameters, expected),
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
}

/** The error for an image that the driver does not load, with the driver's log. */
export function notLoaded(what: string, error: CudaError, log = ""): AuxstreamError {
  const text = `${what} cannot be loaded: ${error.message}.${log === "" ? "" : `\n${log}`}`
  return new AuxstreamError("AUX_KERNEL_INVALID", text, { cause: error })
}

function list(parameters: readonly KernelParameter[], bytes: readonly number[]): string {
  const texts = parameters.map((parameter, index) => `${shortText(parameter)} (${bytes[index]} bytes)`)
  return `${counted(texts)}${texts.length === 0 ? "" : `, ${texts.join(", ")}`}`
}

function counted({ length }: readonly unknown[]): string {
  return length === 0 ? "no parameters" : `${length} parameter${length === 1 ? "" : "s"}`
}

function advice(parameters: readonly KernelParameter[], expected: readonly number[]): string {
  if (parameters.length !== expected.length) return "The signature must have one entry for each parameter."
  const index = parameters.findIndex((parameter, place) => parameterBytes(parameter) !== expected[place])
  return `Fix parameter ${index} of the signature (the first is 0).`
}

/** A parameter's text. A large struct's is cut. */
function shortText(parameter: KernelParameter): string {
  const text = parameterText(parameter)
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT - 3)}...` : text
}
