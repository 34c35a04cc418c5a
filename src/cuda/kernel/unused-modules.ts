/**
 * The modules of one device whose kernels cannot be launched any more: disposed of, or unreachable. CUDA unloads a module
 * only while the device is idle (measured on an H200), so they must never be unloaded before.
 */
import { setTimeout } from "../../common/timers.js"
import type { ModuleSource } from "../../driver/modules.js"
import type { CudaContext } from "../api/context.js"
import type { Quiet } from "../sharing/quiet.js"
import type { LoadedModule } from "./loaded-module.js"

/** The most unreachable modules that one load unloads, so that it stays short. */
const MOST_UNLOADED = 16
/** How long a disposed module waits before the library looks again whether the device is idle, in milliseconds. */
const FIRST_PAUSE = 1
const LONGEST_PAUSE = 1024

/** See the head of this file. */
export class UnusedModules {
  readonly #context: CudaContext
  readonly #quiet: Quiet
  readonly #onUnload: (module: LoadedModule) => void
  readonly #modules = new Set<LoadedModule>()
  readonly #watch = new FinalizationRegistry((module: LoadedModule) => this.#modules.add(module))
  /** Whether a timer is set. */
  #isSweeping = false
  #closed = false

  /** `onUnload` is called before a module is unloaded. */
  constructor(context: CudaContext, quiet: Quiet, onUnload: (module: LoadedModule) => void) {
    this.#context = context
    this.#quiet = quiet
    this.#onUnload = onUnload
  }

  /** The module becomes unused once its source is unreachable. */
  watch(source: ModuleSource, module: LoadedModule): void {
    this.#watch.register(source, module, module)
  }

  unwatch(module: LoadedModule): void {
    this.#watch.unregister(module)
  }

  /** The module has been disposed of. */
  retire(module: LoadedModule): void {
    this.#onUnload(module)
    module.retire()
    this.#modules.add(module)
    this.sweep()
    if (!this.#isSweeping) this.#sweepLater(FIRST_PAUSE)
  }

  /** Neither blocks nor keeps the process alive. Loading the next kernel unloads the others. */
  #sweepLater(pause: number): void {
    this.#isSweeping = this.#modules.size > 0 && !this.#closed && !this.#context.isLost
    if (!this.#isSweeping) return
    const sweep = () => {
      this.sweep()
      this.#sweepLater(Math.min(pause * 2, LONGEST_PAUSE))
    }
    setTimeout(sweep, pause).unref()
  }

  /** Unloads unused modules if the device is idle. */
  sweep(): void {
    if (this.#modules.size > 0 && !this.#context.isLost && this.#isQuiet()) this.unload()
  }

  #isQuiet(): boolean {
    try {
      return this.#quiet.within(0)
    } catch {
      return false // The device is lost. The next call that may throw reports it.
    }
  }

  /** Unloads some of them. The device must be idle. */
  unload(): void {
    for (const module of [...this.#modules].slice(0, MOST_UNLOADED)) {
      this.#modules.delete(module)
      this.#onUnload(module)
      module.discard()
    }
  }

  /** The device is being closed: `leftovers.ts` unloads the others. */
  close(): void {
    this.#closed = true
  }
}
