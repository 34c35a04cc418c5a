/**
 * Loads kernels, completely and before their first launch.
 *
 * The slow steps, compiling and the driver's translation of PTX, use calls that need no current context, so that they can
 * also run on a thread of Node's pool. CUDA makes the last step, loading the code into the context, only while the device is
 * idle, so it must never be made before: see `quiet.ts`. With eager loading (`CUDA_MODULE_LOADING=EAGER`) it is the first
 * step that waits (measured on an H200, driver 580), so then all steps are made while the device is idle.
 */
import { AuxstreamError } from "../../common/errors.js"
import type { KernelAttributes, SuggestedBlock } from "../../common/kernel-facts.js"
import type {
  CudaModuleBody,
  DriverKernels,
  KernelArgument,
  KernelHandle,
  KernelSource,
  LaunchAttributes,
  StreamHandle,
} from "../../driver.js"
import {
  compile,
  compileAnew,
  compileAnewInBackground,
  type Compiled,
  compileInBackground,
  type CompileRequest,
} from "../toolkit/compile.js"
import type { CudaContext } from "../api/context.js"
import type { KernelFacts } from "./kernel-facts.js"
import type { LaunchableKernel, Launcher } from "./launch.js"
import { Loading, type LoadedKernel, unload } from "./loading.js"
import type { Need, Quiet } from "../sharing/quiet.js"

/** The most unreachable kernels that one load unloads, so that it stays short. */
const MOST_UNLOADED = 16

/** The kernels of one device. A handle is an index into a list. */
export class Kernels implements DriverKernels {
  readonly #context: CudaContext
  readonly #quiet: Quiet
  readonly #launcher: Launcher
  readonly #facts: KernelFacts
  readonly #architecture: number
  readonly #loaded: (LoadedKernel | undefined)[] = []
  /** Kernels whose source is unreachable, so that nobody can launch them. They are unloaded when the next one is loaded. */
  readonly #forgotten: KernelHandle[] = []
  readonly #watch = new FinalizationRegistry((handle: KernelHandle) => this.#forgotten.push(handle))
  readonly #handles = new WeakMap<KernelSource, KernelHandle>()
  readonly #preparing = new WeakMap<KernelSource, Promise<KernelHandle>>()
  /** How many kernels are being loaded on threads of Node's pool. */
  #inBackground = 0
  #closed = false

  /** `architecture`: the device's compute capability, 90 for 9.0. */
  constructor(context: CudaContext, quiet: Quiet, launcher: Launcher, facts: KernelFacts, architecture: number) {
    this.#context = context
    this.#quiet = quiet
    this.#launcher = launcher
    this.#facts = facts
    this.#architecture = architecture
  }

  get(handle: KernelHandle): LaunchableKernel {
    const kernel = this.#loaded[handle]
    if (kernel === undefined) throw new AuxstreamError("AUX_KERNEL_INVALID", `No kernel has the handle ${handle}.`)
    return kernel
  }

  launch(
    stream: StreamHandle,
    kernel: KernelHandle,
    gridX: number,
    gridY: number,
    gridZ: number,
    blockX: number,
    blockY: number,
    blockZ: number,
    sharedMemory: number,
    args: readonly KernelArgument[],
    attributes: LaunchAttributes | undefined,
  ): undefined {
    this.#context.lastEvent = undefined
    const loaded = this.get(kernel)
    this.#launcher.launch(stream, loaded, gridX, gridY, gridZ, blockX, blockY, blockZ, sharedMemory, args, attributes)
  }

  attributes(kernel: KernelHandle): KernelAttributes {
    return this.#facts.attributes(this.get(kernel))
  }

  blocksPerMultiprocessor(kernel: KernelHandle, threads: number, sharedMemory: number): number {
    return this.#facts.blocksPerMultiprocessor(this.get(kernel), threads, sharedMemory)
  }

  suggestBlock(kernel: KernelHandle, sharedMemory: number, mostThreads: number): SuggestedBlock {
    return this.#facts.suggestBlock(this.get(kernel), sharedMemory, mostThreads)
  }

  /**
   * See `DriverKernels.load`.
   *
   * @param need the parts of the error's text if the device does not become idle
   * @throws AuxstreamError AUX_NOT_READY when the work queued before does not end in time
   */
  load(source: KernelSource, need = needOf(source)): KernelHandle {
    const known = this.#handles.get(source)
    if (known !== undefined) return known
    const compiled = this.#image(source)
    if (this.#context.library.loadsEagerly) return this.#quiet.block(need, () => this.#loadNow(source, compiled))
    const loading = this.#start(source, compiled)
    try {
      return this.#quiet.block(need, () => this.#finish(source, loading))
    } finally {
      loading.abandon()
    }
  }

  /** Makes all steps. The device must be idle. */
  #loadNow(source: KernelSource, compiled: Compiled): KernelHandle {
    const loading = this.#start(source, compiled)
    try {
      return this.#finish(source, loading)
    } finally {
      loading.abandon()
    }
  }

  #start(source: KernelSource, { image, again }: Compiled): Loading {
    try {
      return this.#startWith(source, image)
    } catch (error) {
      if (again === undefined || !isInvalid(error)) throw error
      return this.#startWith(source, compileAnew(again).image)
    }
  }

  #image(source: KernelSource): Compiled {
    const body = cudaBody(source)
    return "source" in body ? compile(this.#request(source.name, body)) : { image: imageOf(body) }
  }

  #startWith(source: KernelSource, image: Uint8Array): Loading {
    const loading = new Loading(this.#context, source, image)
    loading.start()
    return loading
  }

  /** See `DriverKernels.prepare`. */
  prepare(source: KernelSource, need = needOf(source)): Promise<KernelHandle> {
    const known = this.#handles.get(source)
    if (known !== undefined) return Promise.resolve(known)
    const under = this.#preparing.get(source)
    if (under !== undefined) return under
    const preparing = this.#prepare(source, need).finally(() => this.#preparing.delete(source))
    this.#preparing.set(source, preparing)
    return preparing
  }

  async #prepare(source: KernelSource, need: Need): Promise<KernelHandle> {
    const compiled = await this.#imageInBackground(source)
    this.#checkOpen(source)
    if (this.#context.library.loadsEagerly) {
      return this.#quiet.wait(need, () => this.#knownOr(source, () => this.#loadNow(source, compiled)))
    }
    this.#inBackground++
    try {
      const loading = await this.#startInBackground(source, compiled)
      return await this.#finishInBackground(source, need, loading)
    } finally {
      this.#inBackground--
    }
  }

  #knownOr(source: KernelSource, load: () => KernelHandle): KernelHandle {
    this.#checkOpen(source)
    return this.#handles.get(source) ?? load()
  }

  async #imageInBackground(source: KernelSource): Promise<Compiled> {
    const body = cudaBody(source)
    return "source" in body ? compileInBackground(this.#request(source.name, body)) : { image: imageOf(body) }
  }

  async #startInBackground(source: KernelSource, { image, again }: Compiled): Promise<Loading> {
    try {
      return await this.#startWithInBackground(source, image)
    } catch (error) {
      if (again === undefined || !isInvalid(error)) throw error
      return this.#startWithInBackground(source, (await compileAnewInBackground(again)).image)
    }
  }

  async #startWithInBackground(source: KernelSource, image: Uint8Array): Promise<Loading> {
    const loading = new Loading(this.#context, source, image)
    await loading.startInBackground()
    return loading
  }

  async #finishInBackground(source: KernelSource, need: Need, loading: Loading): Promise<KernelHandle> {
    try {
      return await this.#quiet.wait(need, () => this.#knownOr(source, () => this.#finish(source, loading)))
    } finally {
      loading.abandon()
    }
  }

  /** Whether a thread of the pool is loading a kernel, and needs the context. */
  get isBusy(): boolean {
    return this.#inBackground > 0
  }

  #checkOpen({ name }: KernelSource): void {
    if (this.#closed) {
      throw new AuxstreamError(
        "AUX_DISPOSED",
        `${this.#context.label} was disposed of while kernel "${name}" was being prepared.`,
      )
    }
  }

  #request(
    name: string,
    { source, options = [] }: { source: string; options?: readonly string[] | undefined },
  ): CompileRequest {
    return {
      name,
      source,
      options,
      architecture: this.#architecture,
      driverVersion: this.#context.library.version,
    }
  }

  /** The device must be idle, as far as we know. */
  #finish(source: KernelSource, loading: Loading): KernelHandle {
    this.#unloadForgotten()
    const kernel = loading.finish()
    this.#launcher.reserve(kernel)
    const handle = this.#loaded.push(kernel) - 1
    this.#handles.set(source, handle)
    this.#watch.register(source, handle)
    return handle
  }

  /** CUDA unloads a kernel only while the device is idle, as it loads one (measured on an H200). */
  #unloadForgotten(): void {
    for (const handle of this.#forgotten.splice(0, MOST_UNLOADED)) {
      const kernel = this.#loaded[handle]
      if (kernel === undefined) continue
      this.#loaded[handle] = undefined
      unload(this.#context, kernel.library)
    }
  }

  /** Refuses to load more kernels. Preparations under way fail. */
  refuseMore(): void {
    this.#closed = true
  }
}

function needOf({ name }: KernelSource): Need {
  return { what: `Kernel "${name}" cannot be loaded`, advice: "Load it ahead: await kernel.prepare(device)." }
}

function isInvalid(error: unknown): boolean {
  return error instanceof AuxstreamError && error.code === "AUX_KERNEL_INVALID"
}

function cudaBody({ module: { cuda }, name }: KernelSource): CudaModuleBody {
  if (cuda !== undefined) return cuda
  throw new AuxstreamError(
    "AUX_KERNEL_UNAVAILABLE",
    `Kernel "${name}" has no body for CUDA: \`cuda\` in defineKernel must have source, ptx or cubin.`,
  )
}

function imageOf(body: { readonly ptx: string | Uint8Array } | { readonly cubin: Uint8Array }): Uint8Array {
  if ("cubin" in body) return body.cubin
  return typeof body.ptx === "string" ? new TextEncoder().encode(body.ptx) : body.ptx
}
