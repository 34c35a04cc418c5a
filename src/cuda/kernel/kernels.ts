/**
 * Loads kernels, completely and before their first launch.
 *
 * CUDA makes the last step, loading the code into the context, only while the device is idle, so it must never be made
 * before: see `quiet.ts`.
 */
import type { LaunchShape } from "../../common/facts/launch-shape.js"
import { AuxstreamError } from "../../common/errors.js"
import type { KernelAttributes, SuggestedBlock } from "../../common/facts/kernel-facts.js"
import type { KernelHandle, StreamHandle } from "../../driver/handles.js"
import type { DriverKernels, KernelArgument, LaunchAttributes } from "../../driver/kernels.js"
import type { KernelSource, LoadedGlobal, ModuleSource } from "../../driver/modules.js"
import type { CudaContext } from "../api/context.js"
import { runInBackground, runNow } from "../native/steps.js"
import type { Need, Quiet } from "../sharing/quiet.js"
import type { KernelFacts } from "./kernel-facts.js"
import type { LaunchableKernel, Launcher } from "./launch.js"
import type { LoadedModule } from "./loaded-module.js"
import { KernelLoading } from "./loading.js"
import { Modules } from "./modules.js"

/** A kernel that is found and translated, but not loaded into the context yet. */
interface Started {
  readonly module: LoadedModule
  readonly loading: KernelLoading
}

/** The kernels of one device. A handle is an index into a list. */
export class Kernels implements DriverKernels {
  readonly #context: CudaContext
  readonly #quiet: Quiet
  readonly #launcher: Launcher
  readonly #facts: KernelFacts
  readonly #modules: Modules
  readonly #loaded: (LaunchableKernel | undefined)[] = []
  readonly #handles = new WeakMap<KernelSource, KernelHandle>()
  readonly #preparing = new WeakMap<KernelSource, Promise<KernelHandle>>()

  /** `architecture`: the device's compute capability, 90 for 9.0. */
  constructor(context: CudaContext, quiet: Quiet, launcher: Launcher, facts: KernelFacts, architecture: number) {
    this.#context = context
    this.#quiet = quiet
    this.#launcher = launcher
    this.#facts = facts
    const target = { architecture, driverVersion: context.library.version }
    this.#modules = new Modules(context, quiet, target, (module) => {
      for (const handle of module.kernels.splice(0)) this.#loaded[handle] = undefined
    })
  }

  get(handle: KernelHandle): LaunchableKernel {
    const kernel = this.#loaded[handle]
    if (kernel === undefined) throw new AuxstreamError("AUX_KERNEL_INVALID", `No kernel has the handle ${handle}.`)
    return kernel
  }

  launch(
    stream: StreamHandle,
    kernel: KernelHandle,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    attributes: LaunchAttributes | undefined,
  ): undefined {
    this.#context.lastEvent = undefined
    const loaded = this.get(kernel)
    this.#launcher.launch(stream, loaded, shape, args, attributes)
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

  /** Undefined, too, for a kernel whose module has been unloaded: it is loaded again. */
  #known(source: KernelSource): KernelHandle | undefined {
    const handle = this.#handles.get(source)
    return handle !== undefined && this.#loaded[handle] !== undefined ? handle : undefined
  }

  /**
   * See `DriverKernels.load`.
   *
   * @param need the parts of the error's text if the device does not become idle
   * @throws AuxstreamError AUX_NOT_READY when the work queued before does not end in time
   */
  load(source: KernelSource, need = needOf(source)): KernelHandle {
    const known = this.#known(source)
    if (known !== undefined) return known
    const module = this.#modules.load(source.module, need)
    try {
      if (this.#context.library.loadsEagerly) return this.#quiet.block(need, () => this.#loadFrom(source, module))
      const started = this.#start(source, module)
      return this.#quiet.block(need, () => this.#finish(source, started))
    } catch (error) {
      this.#modules.noteFailure(source.module)
      throw error
    }
  }

  /** Makes all steps. The device must be idle. */
  #loadFrom(source: KernelSource, module: LoadedModule): KernelHandle {
    return this.#finish(source, this.#start(source, module))
  }

  #start(source: KernelSource, module: LoadedModule): Started {
    const loading = new KernelLoading(this.#context, source, module)
    try {
      runNow(loading.start())
      return { module, loading }
    } catch (error) {
      if (!this.#modules.isStale(module, error)) throw error
      return this.#start(source, this.#modules.replace(source.module, module))
    }
  }

  /** See `DriverKernels.prepare`. */
  prepare(source: KernelSource, need = needOf(source)): Promise<KernelHandle> {
    const known = this.#known(source)
    if (known !== undefined) return Promise.resolve(known)
    const under = this.#preparing.get(source)
    if (under !== undefined) return under
    const preparing = this.#prepare(source, need).finally(() => this.#preparing.delete(source))
    this.#preparing.set(source, preparing)
    return preparing
  }

  async #prepare(source: KernelSource, need: Need): Promise<KernelHandle> {
    const module = await this.#modules.prepare(source.module, need)
    try {
      if (this.#context.library.loadsEagerly) {
        return await this.#quiet.wait(need, () => this.#knownOr(source, () => this.#loadFrom(source, module)))
      }
      return await this.#modules.inBackground(() => this.#prepareFrom(source, need, module))
    } catch (error) {
      this.#modules.noteFailure(source.module)
      throw error
    }
  }

  async #prepareFrom(source: KernelSource, need: Need, module: LoadedModule): Promise<KernelHandle> {
    module.hold()
    try {
      const loading = await this.#startInBackground(source, module)
      if (loading !== undefined) {
        return await this.#quiet.wait(need, () =>
          this.#knownOr(source, () => this.#finish(source, { module, loading })),
        )
      }
    } finally {
      module.release()
    }
    return this.#prepareFrom(source, need, await this.#modules.replaceInBackground(source.module, module))
  }

  /** Undefined if the module must be compiled anew. */
  async #startInBackground(source: KernelSource, module: LoadedModule): Promise<KernelLoading | undefined> {
    const loading = new KernelLoading(this.#context, source, module)
    try {
      await runInBackground(loading.start())
      return loading
    } catch (error) {
      if (this.#modules.isStale(module, error)) return undefined
      throw error
    }
  }

  #knownOr(source: KernelSource, load: () => KernelHandle): KernelHandle {
    this.#modules.checkOpen(`Kernel "${source.name}"`)
    return this.#known(source) ?? load()
  }

  /** Whether a thread of the pool is loading a kernel, and needs the context. */
  get isBusy(): boolean {
    return this.#modules.isBusy
  }

  /** The device must be idle, as far as we know. */
  #finish(source: KernelSource, { module, loading }: Started): KernelHandle {
    // Its image was a stale one of the cache, or the module has been disposed of meanwhile.
    if (module.isRetired) return this.#loadFrom(source, this.#modules.load(source.module))
    this.#modules.unused.unload()
    const kernel = loading.finish()
    this.#launcher.reserve(kernel)
    const handle = this.#loaded.push(kernel) - 1
    this.#handles.set(source, handle)
    module.kernels.push(handle)
    return handle
  }

  /** See `DriverKernels.prepareModule`. */
  prepareModule(module: ModuleSource): Promise<void> {
    return this.#modules.prepareModule(module)
  }

  /** See `DriverKernels.loadGlobals`. */
  loadGlobals(module: ModuleSource): readonly LoadedGlobal[] {
    return this.#modules.loadGlobals(module)
  }

  /** See `DriverKernels.unloadModule`. */
  unloadModule(module: ModuleSource): void {
    this.#modules.unload(module)
  }

  /** Unloads unused modules if the device is idle. */
  sweep(): void {
    this.#modules.unused.sweep()
  }

  /** Refuses to load more kernels. Preparations in progress fail. */
  refuseMore(): void {
    this.#modules.refuseMore()
  }
}

function needOf({ name }: KernelSource): Need {
  return { what: `Kernel "${name}" cannot be loaded`, advice: "Load it ahead: await kernel.prepare(device)." }
}
