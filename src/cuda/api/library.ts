/** Finds and loads the CUDA driver library, checks its version, and describes its errors. */
import { CudaError } from "../../common/errors.js"
import { BASIC_CALLS, DRIVER_CALLS, NEWER_CALLS, type BasicCalls, type DriverCalls, type NewerCalls } from "./calls.js"
import { CMemory } from "../native/c-memory.js"
import { bind, bindPresent, firstLine, koffi, loadLibrary, readText, type NativeLibrary } from "../native/ffi.js"
import { CONDITIONAL_CALLS, type ConditionalCalls, GRAPH_CALLS, type GraphCalls } from "./graph-calls.js"
import { joined, type Machine, named, thisMachine } from "../native/machine.js"
import { NO_DEVICE, SUCCESS } from "./status.js"
import { unavailable } from "../native/errors.js"

/** CUDA 12.0 added context-independent kernels, the newest feature that we require. */
const LEAST_VERSION = 12000
const LEAST_VERSION_WITH_CONDITIONALS = 12040
const CAPTURE_MODE_RELAXED = 2
const EAGER_LOADING = 1

/** The initialised driver of this process. */
export class CudaLibrary {
  /** The driver's CUDA version: 12040 is 12.4. */
  readonly version: number
  readonly calls: DriverCalls
  readonly newer: NewerCalls
  readonly graphCalls: GraphCalls
  readonly #conditionalCalls: ConditionalCalls | undefined
  readonly #basic: BasicCalls
  #isRelaxed = false
  #loadsEagerly: boolean | undefined
  readonly #out = new CMemory(8)

  /** @throws AuxstreamError AUX_DEVICE_UNAVAILABLE with the reason in one sentence */
  constructor(library: NativeLibrary) {
    this.#basic = bind(library, BASIC_CALLS)
    this.version = this.#readVersion()
    if (this.version < LEAST_VERSION) {
      throw unavailable(
        `The CUDA driver must support CUDA ${versionText(LEAST_VERSION)} or later; got ${versionText(this.version)}. ` +
          "Update the NVIDIA driver.",
      )
    }
    this.#initialize()
    this.calls = bind(library, DRIVER_CALLS)
    this.newer = bindPresent(library, NEWER_CALLS)
    // Not at the first graph: koffi ends the process if a Worker is terminated while it looks up a function.
    this.graphCalls = bind(library, GRAPH_CALLS)
    if (this.version >= LEAST_VERSION_WITH_CONDITIONALS) this.#conditionalCalls = bind(library, CONDITIONAL_CALLS)
  }

  /** The calls for conditionals. @throws AuxstreamError AUX_DEVICE_UNAVAILABLE if the driver has none */
  get conditionalCalls(): ConditionalCalls {
    if (this.#conditionalCalls === undefined) {
      throw unavailable(
        `runIf() and runWhile() need a driver for CUDA ${versionText(LEAST_VERSION_WITH_CONDITIONALS)} or later; got ` +
          `${versionText(this.version)}. Update the NVIDIA driver, or decide before the capture.`,
      )
    }
    return this.#conditionalCalls
  }

  /**
   * Allows this thread to query, allocate and synchronize while any thread captures in one of CUDA's stricter modes, as other
   * libraries do. Otherwise CUDA refuses these calls and invalidates that capture (measured on an H200, driver 580). The
   * mode belongs to the thread and is never reset.
   *
   * @throws CudaError
   */
  relaxThread(): void {
    if (this.#isRelaxed) return
    this.#out.setInt(0, CAPTURE_MODE_RELAXED)
    const status = this.calls.cuThreadExchangeStreamCaptureMode(this.#out.address)
    if (status !== SUCCESS) throw this.error(status, "cuThreadExchangeStreamCaptureMode")
    this.#isRelaxed = true
  }

  /** Whether the user has enabled eager loading, which loads all kernels with their image. */
  get loadsEagerly(): boolean {
    if (this.#loadsEagerly === undefined) {
      const status = this.calls.cuModuleGetLoadingMode(this.#out.address)
      this.#loadsEagerly = status === SUCCESS && this.#out.int(0) === EAGER_LOADING
    }
    return this.#loadsEagerly
  }

  #readVersion(): number {
    const status = this.#basic.cuDriverGetVersion(this.#out.address)
    if (status !== SUCCESS) throw unavailable(`The CUDA driver did not report its version: ${this.describe(status)}.`)
    return this.#out.int(0)
  }

  #initialize(): void {
    const status = this.#basic.cuInit(0)
    if (status === SUCCESS) return
    if (status === NO_DEVICE) throw noDevice()
    throw unavailable(
      `The CUDA driver could not be initialised: cuInit returned ${this.describe(status)}. Check whether nvidia-smi works.`,
    )
  }

  /** The driver's name of a status, such as `"CUDA_ERROR_INVALID_VALUE"`. */
  statusName(status: number): string {
    const known = this.#basic.cuGetErrorName(status, this.#out.address) === SUCCESS
    return known ? readText(this.#out.number(0)) : `CUDA_ERROR_${status}`
  }

  /** The driver's name and text of a status. */
  describe(status: number): string {
    const known = this.#basic.cuGetErrorString(status, this.#out.address) === SUCCESS
    const text = known ? ` (${readText(this.#out.number(0))})` : ""
    return `${this.statusName(status)}${text}`
  }

  /** The error for a call that returned a status. */
  error(status: number, call: string): CudaError {
    return new CudaError(`${call} failed with ${this.describe(status)}`, this.statusName(status), call)
  }
}

/** `12040` as `"12.4"`. */
export function versionText(version: number): string {
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`
}

/** The error if the driver finds no device. */
export function noDevice(): Error {
  return unavailable(
    "The CUDA driver found no device (CUDA_ERROR_NO_DEVICE). Check whether nvidia-smi lists one, and whether " +
      "CUDA_VISIBLE_DEVICES hides it.",
  )
}

let opened: { readonly path: string | undefined; readonly library: CudaLibrary } | undefined

/**
 * The driver library, loaded at the first call.
 *
 * @throws AuxstreamError AUX_DEVICE_UNAVAILABLE with the reason in one sentence
 */
export function cudaLibrary(): CudaLibrary {
  const path = process.env["AUXSTREAM_LIBCUDA"] || undefined
  if (opened === undefined || opened.path !== path) opened = { path, library: new CudaLibrary(load(path)) }
  return opened.library
}

/**
 * The names of the driver library to try; empty on platforms without CUDA. Windows also searches the current folder for a
 * bare name, so there it is an absolute path.
 */
export function driverLibraries(machine: Machine): readonly string[] {
  if (machine.platform === "linux") return ["libcuda.so.1", "libcuda.so", "/usr/lib/wsl/lib/libcuda.so.1"]
  if (machine.platform !== "win32") return []
  return [joined(machine, named(machine, "SystemRoot") ?? "C:\\Windows", "System32", "nvcuda.dll")]
}

function load(path: string | undefined): NativeLibrary {
  const names = path === undefined ? driverLibraries(thisMachine()) : [path]
  // Checked before koffi, because on macOS installing koffi would not help.
  if (names.length === 0) throw unavailable(`CUDA runs on Linux and Windows, not on ${process.platform}.`)
  // If koffi is missing, the error must say so.
  koffi()
  if (path !== undefined) {
    try {
      return loadLibrary(path)
    } catch (error) {
      throw unavailable(`AUXSTREAM_LIBCUDA is ${path}, which cannot be loaded: ${firstLine(error)}`)
    }
  }
  for (const name of names) {
    try {
      return loadLibrary(name)
    } catch {
      continue
    }
  }
  throw unavailable(
    `The CUDA driver library was not found (tried ${names.join(", ")}). Install the NVIDIA driver, or set ` +
      "AUXSTREAM_LIBCUDA to the library's path.",
  )
}
