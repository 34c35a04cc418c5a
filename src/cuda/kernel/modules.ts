/**
 * The modules of one device. Each is compiled once and loaded once, however many of its kernels are loaded at the same
 * time.
 *
 * The slow steps, compiling and the driver's translation of PTX, use calls that need no current context, so that they can
 * also run on a thread of Node's pool. With eager loading (`CUDA_MODULE_LOADING=EAGER`), loading an image waits for an idle
 * device (measured on an H200, driver 580), so then it is done only while the device is idle.
 */
import { AuxstreamError, CudaError } from "../../common/errors.js"
import type { LoadedGlobal, ModuleSource } from "../../driver/modules.js"
import { CMemory } from "../native/c-memory.js"
import { runInBackground, runNow, type Steps } from "../native/steps.js"
import type { CudaContext } from "../api/context.js"
import { SUCCESS } from "../api/status.js"
import type { Need, Quiet } from "../sharing/quiet.js"
import type { Compiled } from "../toolkit/compile.js"
import { checkImage } from "../image/image.js"
import { JitLog } from "./jit-log.js"
import { LoadedModule } from "./loaded-module.js"
import { notLoaded } from "./loading.js"
import { codeAnew, codeOf, type Target } from "./module-code.js"
import { findGlobals } from "./module-globals.js"
import { UnusedModules } from "./unused-modules.js"

export class Modules {
  readonly #context: CudaContext
  readonly #quiet: Quiet
  readonly #target: Target
  readonly #loaded = new WeakMap<ModuleSource, LoadedModule>()
  readonly #preparing = new WeakMap<ModuleSource, Promise<LoadedModule>>()
  /** The modules whose kernels cannot be launched any more. */
  readonly unused: UnusedModules
  /** How many modules and kernels threads of Node's pool are loading. */
  #inBackground = 0
  #closed = false

  /** `onUnload` is called before a module is unloaded. */
  constructor(context: CudaContext, quiet: Quiet, target: Target, onUnload: (module: LoadedModule) => void) {
    this.#context = context
    this.#quiet = quiet
    this.#target = target
    this.unused = new UnusedModules(context, quiet, onUnload)
  }

  /**
   * @param need the parts of the error's text if the device does not become idle
   * @throws AuxstreamError AUX_KERNEL_INVALID, AUX_KERNEL_UNAVAILABLE, AUX_NOT_READY
   */
  load(source: ModuleSource, need = needOf(source)): LoadedModule {
    return this.#loaded.get(source) ?? this.#loadBy(source, need, runNow(codeOf(source, this.#target)))
  }

  #loadBy(source: ModuleSource, need: Need, code: Compiled): LoadedModule {
    const load = () => this.#add(source, runNow(this.#steps(source, code)))
    return this.#context.library.loadsEagerly ? this.#quiet.block(need, load) : load()
  }

  /** Like {@link load}, without blocking the event loop. Calls for one module share its loading. */
  prepare(source: ModuleSource, need = needOf(source)): Promise<LoadedModule> {
    const known = this.#loaded.get(source)
    if (known !== undefined) return Promise.resolve(known)
    return this.#share(source, () => this.#prepareBy(source, need, codeOf(source, this.#target)))
  }

  #share(source: ModuleSource, prepare: () => Promise<LoadedModule>): Promise<LoadedModule> {
    const under = this.#preparing.get(source)
    if (under !== undefined) return under
    const preparing = prepare().finally(() => this.#preparing.delete(source))
    this.#preparing.set(source, preparing)
    return preparing
  }

  async #prepareBy(source: ModuleSource, need: Need, steps: Steps<Compiled>): Promise<LoadedModule> {
    const code = await runInBackground(steps)
    this.checkOpen(source.label)
    if (this.#context.library.loadsEagerly) {
      return this.#quiet.wait(need, () => {
        this.checkOpen(source.label)
        return this.#loaded.get(source) ?? this.#add(source, runNow(this.#steps(source, code)))
      })
    }
    return this.inBackground(async () => {
      const module = await runInBackground(this.#steps(source, code))
      const known = this.#loaded.get(source)
      if (known === undefined && !this.#closed) return this.#add(source, module)
      module.discard()
      this.checkOpen(source.label)
      return known ?? module
    })
  }

  /** Counts what threads of Node's pool do with the context. */
  async inBackground<T>(work: () => Promise<T>): Promise<T> {
    this.#inBackground += 1
    try {
      return await work()
    } finally {
      this.#inBackground -= 1
    }
  }

  /** Whether a thread of the pool is loading something, and needs the context. */
  get isBusy(): boolean {
    return this.#inBackground > 0
  }

  #add(source: ModuleSource, module: LoadedModule): LoadedModule {
    this.#loaded.set(source, module)
    this.unused.watch(source, module)
    return module
  }

  /** Whether a failure may come from a stale entry of the cache: then the module must be compiled anew. */
  isStale(module: LoadedModule, error: unknown): boolean {
    return !module.isProven && isInvalid(error)
  }

  /** Loads a module again, compiled anew, in place of a stale one. */
  replace(source: ModuleSource, stale: LoadedModule): LoadedModule {
    this.#drop(source, stale)
    const known = this.#loaded.get(source)
    return known ?? this.#loadBy(source, needOf(source), runNow(codeAnew(source, this.#target)))
  }

  /** Like {@link replace}, without blocking the event loop. */
  async replaceInBackground(source: ModuleSource, stale: LoadedModule): Promise<LoadedModule> {
    this.#drop(source, stale)
    const known = this.#loaded.get(source)
    if (known !== undefined) return known
    return this.#share(source, () => this.#prepareBy(source, needOf(source), codeAnew(source, this.#target)))
  }

  #drop(source: ModuleSource, module: LoadedModule): void {
    if (this.#loaded.get(source) !== module) return
    this.#loaded.delete(source)
    this.unused.unwatch(module)
    module.discard()
  }

  /** Loading a kernel has failed: a module of which nothing is in use is not kept. */
  noteFailure(source: ModuleSource): void {
    const module = this.#loaded.get(source)
    if (module?.isUsed === false) this.#drop(source, module)
  }

  *#steps(source: ModuleSource, code: Compiled): Steps<LoadedModule> {
    try {
      return yield* this.#loadImage(source.label, code)
    } catch (error) {
      if (!code.isCached || !isInvalid(error)) throw error
      return yield* this.#loadImage(source.label, yield* codeAnew(source, this.#target))
    }
  }

  *#loadImage(label: string, code: Compiled): Steps<LoadedModule> {
    // One byte more than the image, because PTX must end with a zero.
    const image = new CMemory(code.image.length + 1)
    image.bytes.set(code.image)
    // We check our copy, because the caller may change the original.
    checkImage(label, image.bytes.subarray(0, code.image.length))
    const log = JitLog.acquire()
    try {
      const library = yield* this.#loadData(label, image, log)
      return new LoadedModule(this.#context, { label, library, code, image, log })
    } catch (error) {
      log.release()
      throw error
    }
  }

  *#loadData(label: string, image: CMemory, log: JitLog): Steps<number> {
    const { calls, room, holding } = this.#context
    const out = new CMemory(8)
    log.clear()
    const { options, values, count } = log
    const status = yield room.slow(calls.cuLibraryLoadData, out.address, image.address, options, values, count, 0, 0, 0)
    if (status !== SUCCESS) {
      const error = this.#context.failure(status, "cuLibraryLoadData")
      throw error instanceof CudaError ? notLoaded(label, error, log.text) : error
    }
    holding.add("library", out.number(0))
    return out.number(0)
  }

  /** See `DriverKernels.loadGlobals`. */
  loadGlobals(source: ModuleSource): readonly LoadedGlobal[] {
    const module = this.load(source)
    if (module.globals !== undefined) return module.globals
    const find = (found: LoadedModule) =>
      this.#quiet.block(needOf(source), () => findGlobals(this.#context, source, found))
    try {
      return find(module)
    } catch (error) {
      if (!this.isStale(module, error)) throw error
      return find(this.replace(source, module))
    }
  }

  /** See `DriverKernels.prepareModule`. */
  async prepareModule(source: ModuleSource): Promise<void> {
    const module = await this.prepare(source)
    if (source.globals.length === 0 || module.globals !== undefined) return
    await this.#quiet.wait(needOf(source), () => {
      this.checkOpen(source.label)
      this.loadGlobals(source)
    })
  }

  /** See `DriverKernels.unloadModule`. */
  unload(source: ModuleSource): void {
    const module = this.#loaded.get(source)
    if (module === undefined) return
    this.#loaded.delete(source)
    this.unused.unwatch(module)
    this.unused.retire(module)
  }

  /** Refuses to load more. Preparations in progress fail. */
  refuseMore(): void {
    this.#closed = true
    this.unused.close()
  }

  checkOpen(label: string): void {
    if (!this.#closed) return
    throw new AuxstreamError(
      "AUX_DISPOSED",
      `${this.#context.label} was disposed of while ${label.replace(/^./, (letter) => letter.toLowerCase())} was being prepared.`,
    )
  }
}

function needOf({ label }: ModuleSource): Need {
  return { what: `${label} cannot be loaded`, advice: "Load it ahead: await module.prepare(device)." }
}

function isInvalid(error: unknown): boolean {
  return error instanceof AuxstreamError && error.code === "AUX_KERNEL_INVALID"
}
