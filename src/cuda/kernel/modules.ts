/**
 * The modules of one device. Each is compiled once and loaded once, however many of its kernels are loaded at the same
 * time.
 *
 * The slow steps, compiling and the driver's translation of PTX, use calls that need no current context, so that they can
 * also run on a thread of Node's pool. With eager loading (`CUDA_MODULE_LOADING=EAGER`), loading an image waits for an idle
 * device (measured on an H200, driver 580), so then it is done only while the device is idle.
 */
import { AuxstreamError, CudaError } from "../../common/errors.js"
import type { GlobalDeclaration, LoadedGlobal, ModuleSource } from "../../driver/modules.js"
import { elementsOf } from "../../common/dtype/elements.js"
import { setTimeout } from "../../common/timers.js"
import { CMemory } from "../native/c-memory.js"
import { runInBackground, runNow, type Steps } from "../native/steps.js"
import type { CudaContext } from "../api/context.js"
import { NOT_FOUND, SUCCESS } from "../api/status.js"
import type { Need, Quiet } from "../sharing/quiet.js"
import type { Compiled } from "../toolkit/compile.js"
import { checkImage } from "../image/image.js"
import { JitLog } from "./jit-log.js"
import { LoadedModule } from "./loaded-module.js"
import { notLoaded } from "./loading.js"
import { codeAnew, codeOf, type Target } from "./module-code.js"
import { listed, named } from "../image/symbols.js"

/** The most unreachable modules that one load unloads, so that it stays short. */
const MOST_UNLOADED = 16
/** How long a disposed module waits before the library looks again whether the device is idle, in milliseconds. */
const FIRST_PAUSE = 1
const LONGEST_PAUSE = 1024

export class Modules {
  readonly #context: CudaContext
  readonly #quiet: Quiet
  readonly #target: Target
  readonly #onUnload: (module: LoadedModule) => void
  readonly #loaded = new WeakMap<ModuleSource, LoadedModule>()
  readonly #preparing = new WeakMap<ModuleSource, Promise<LoadedModule>>()
  /** Modules whose kernels cannot be launched any more. They are unloaded while the device is idle. */
  readonly #unused = new Set<LoadedModule>()
  readonly #watch = new FinalizationRegistry((module: LoadedModule) => this.#unused.add(module))
  /** Whether a timer is set for the unused modules. */
  #isSweeping = false
  /** How many modules and kernels threads of Node's pool are loading. */
  #inBackground = 0
  #closed = false

  /** `onUnload` is called before a module is unloaded. */
  constructor(context: CudaContext, quiet: Quiet, target: Target, onUnload: (module: LoadedModule) => void) {
    this.#context = context
    this.#quiet = quiet
    this.#target = target
    this.#onUnload = onUnload
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
    this.#watch.register(source, module, module)
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
    this.#watch.unregister(module)
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
    const find = (found: LoadedModule) => this.#quiet.block(needOf(source), () => this.#findGlobals(source, found))
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

  /** The device must be idle: CUDA brings the globals into the context now. */
  #findGlobals(source: ModuleSource, module: LoadedModule): readonly LoadedGlobal[] {
    module.globals = source.globals.map((declaration) => this.#findGlobal(module, declaration))
    module.isProven = true
    return module.globals
  }

  #findGlobal(module: LoadedModule, declaration: GlobalDeclaration): LoadedGlobal {
    const { name, dtype, length, isConstant } = declaration
    const { globals } = module.symbols
    const [symbol = name] = named(name, globals.keys())
    const { calls, out, room } = this.#context
    const find = () => calls.cuLibraryGetGlobal(out.address, out.address + 8, module.library, symbol)
    const status = this.#context.within(() => room.for(find))
    const among = `The globals of its code are ${listed(globals.keys())}.`
    if (status === NOT_FOUND) {
      const reason = `${module.label} has no global ${JSON.stringify(name)} in its code for CUDA. ${among}`
      throw new AuxstreamError(
        "AUX_KERNEL_INVALID",
        `${reason} A __device__ variable that no kernel uses may be left out.`,
      )
    }
    this.#context.check(status, "cuLibraryGetGlobal")
    const [address, byteLength] = [out.number(0), out.number(8)]
    const declared = length * elementsOf(dtype).byteLength
    if (byteLength === declared) return { address, isConstant: isConstant || globals.get(symbol) === true }
    throw new AuxstreamError(
      "AUX_KERNEL_INVALID",
      `${module.label} must declare the global ${JSON.stringify(name)} in the size that it has in the code, ${byteLength} bytes; ` +
        `got [${JSON.stringify(dtype)}, ${length}], which has ${declared} bytes. ${among}`,
    )
  }

  /** See `DriverKernels.unloadModule`. */
  unload(source: ModuleSource): void {
    const module = this.#loaded.get(source)
    if (module === undefined) return
    this.#loaded.delete(source)
    this.#watch.unregister(module)
    this.#onUnload(module)
    module.retire()
    this.#unused.add(module)
    this.sweep()
    if (!this.#isSweeping) this.#sweepLater(FIRST_PAUSE)
  }

  /** Neither blocks nor keeps the process alive. Loading the next kernel unloads the others. */
  #sweepLater(pause: number): void {
    this.#isSweeping = this.#unused.size > 0 && !this.#closed && !this.#context.isLost
    if (!this.#isSweeping) return
    const sweep = () => {
      this.sweep()
      this.#sweepLater(Math.min(pause * 2, LONGEST_PAUSE))
    }
    setTimeout(sweep, pause).unref()
  }

  /** Unloads unused modules if the device is idle. */
  sweep(): void {
    if (this.#unused.size > 0 && !this.#context.isLost && this.#isQuiet()) this.unloadUnused()
  }

  #isQuiet(): boolean {
    try {
      return this.#quiet.within(0)
    } catch {
      return false // The device is lost. The next call that may throw reports it.
    }
  }

  /** CUDA unloads a module only while the device is idle, as it loads one (measured on an H200). */
  unloadUnused(): void {
    for (const module of [...this.#unused].slice(0, MOST_UNLOADED)) {
      this.#unused.delete(module)
      this.#onUnload(module)
      module.discard()
    }
  }

  /** Refuses to load more. Preparations in progress fail. */
  refuseMore(): void {
    this.#closed = true
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
