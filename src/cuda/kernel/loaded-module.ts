/**
 * A module that the driver has loaded: its library, and the names in it. It must not refer to its `ModuleSource`, whose end
 * is what unloads it.
 */
import type { KernelHandle } from "../../driver/handles.js"
import type { LoadedGlobal } from "../../driver/modules.js"
import { CMemory } from "../native/c-memory.js"
import type { CudaContext } from "../api/context.js"
import { readText } from "../native/ffi.js"
import { SUCCESS } from "../api/status.js"
import type { Compiled } from "../toolkit/compile.js"
import type { JitLog } from "./jit-log.js"
import { symbolsOf, type Symbols } from "../image/symbols.js"

/** What a module is when the driver has loaded it. */
interface LoadedParts {
  readonly label: string
  readonly library: number
  readonly code: Compiled
  /** A copy of the image, so that the caller cannot change it. */
  readonly image: CMemory
  readonly log: JitLog
}

export class LoadedModule {
  readonly label: string
  /** The driver's handle. */
  readonly library: number
  /** The symbol of each name expression. */
  readonly names: ReadonlyMap<string, string>
  /** The handles of its kernels. */
  readonly kernels: KernelHandle[] = []
  globals: readonly LoadedGlobal[] | undefined
  /** Where the driver reports errors in PTX, until a kernel has been translated. */
  log: JitLog | undefined
  /** Whether something in it has been found to be as declared, so that its image is no damaged entry of the cache. */
  isProven: boolean
  readonly #context: CudaContext
  /** The driver's copy is its own, but its PTX is translated later. */
  readonly #image: CMemory
  readonly #byteLength: number
  #symbols: Symbols | undefined
  #holds = 0
  #isRetired = false
  #isDiscarded = false

  constructor(context: CudaContext, { label, library, code, image, log }: LoadedParts) {
    this.#context = context
    this.label = label
    this.library = library
    this.names = code.names
    this.isProven = !code.isCached
    this.log = log
    this.#image = image
    this.#byteLength = code.image.length
  }

  /** Its kernels and globals, for a name that is not a symbol, and for errors. */
  get symbols(): Symbols {
    this.#symbols ??= symbolsOf(this.#image.bytes.subarray(0, this.#byteLength)) ?? {
      kernels: this.#listKernels(),
      globals: new Map(),
    }
    return this.#symbols
  }

  /** Drivers for CUDA 12.4 or later list the kernels of an image that we cannot read. */
  #listKernels(): string[] {
    const { cuLibraryGetKernelCount, cuLibraryEnumerateKernels, cuKernelGetName } = this.#context.library.newer
    const out = new CMemory(8)
    if (cuLibraryGetKernelCount?.(out.address, this.library) !== SUCCESS) return []
    const count = out.int(0)
    const handles = new CMemory(count * 8)
    if (cuLibraryEnumerateKernels?.(handles.address, count, this.library) !== SUCCESS) return []
    return Array.from({ length: count }, (_, index) => {
      const isNamed = cuKernelGetName?.(out.address, handles.number(index * 8)) === SUCCESS
      return isNamed ? readText(out.number(0)) : ""
    })
  }

  /** Its PTX has been translated, so that nothing is written to the log any more. */
  endLog(): void {
    this.log?.release()
    this.log = undefined
  }

  /** It must not be used any more, and is to be discarded. */
  retire(): void {
    this.#isRetired = true
  }

  get isRetired(): boolean {
    return this.#isRetired
  }

  /** Whether a kernel or a global of it is loaded, or being loaded on another thread. */
  get isUsed(): boolean {
    return this.kernels.length > 0 || this.globals !== undefined || this.#holds > 0
  }

  /** A call on another thread uses the library. */
  hold(): void {
    this.#holds += 1
  }

  release(): void {
    this.#holds -= 1
    if (this.#holds === 0 && this.#isDiscarded) this.#unload()
  }

  /** Unloads it, or does so once no thread uses it. The device must be idle, unless no kernel of it has been loaded. */
  discard(): void {
    this.#isRetired = true
    this.#isDiscarded = true
    if (this.#holds === 0) this.#unload()
  }

  #unload(): void {
    this.endLog()
    if (this.#context.isLost) return
    this.#context.holding.remove(this.library)
    const status = this.#context.calls.cuLibraryUnload(this.library)
    if (status !== SUCCESS) this.#context.warnOfLeak(status, "cuLibraryUnload")
  }
}
