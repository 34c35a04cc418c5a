import type { KernelHandle } from "../../driver/handles.js"
import type { PinnedMemory } from "../../driver/memory.js"
import type { KernelSource, LoadedGlobal, ModuleSource } from "../../driver/modules.js"
import { AuxstreamError } from "../../common/errors.js"
import type { KeepAlive } from "../control/keep-alive.js"
import { elementsOf } from "../../common/dtype/elements.js"
import { checkKernel, loaderOf, COPY_BYTES, type HostKernel } from "../kernel/kernel-check.js"
import { checkModule, compileAhead, type CompiledWasm, type ModuleDefinition } from "../kernel/module-check.js"
import { parameterCode } from "../kernel/parameter-codes.js"
import type { Thrown } from "../kernel/thrown.js"
import type { WorkerPool } from "./worker-pool.js"

/** A `prepare` that some workers have not answered yet. */
interface Preparation {
  readonly promise: Promise<KernelHandle>
  /** The control blocks of the workers that were asked and have not answered. Workers started later are not asked. */
  unanswered: Set<number>
  hasAnswer: boolean
  resolve(handle: KernelHandle): void
  reject(error: Error): void
}

/** A module that has been checked. */
interface HostModule extends ModuleDefinition {
  readonly loaded: readonly LoadedGlobal[]
}

/** Where the global arrays of modules, and the copies of structs, come from. */
export interface KernelMemory {
  /** Reserves device memory for as long as the device is open. @throws OutOfMemoryError */
  reserve(byteLength: number): number
  /** Zeroed memory. @throws OutOfMemoryError */
  allocatePinned(byteLength: number): PinnedMemory
  freePinned(address: number): void
}

/** The kernels of one device, by handle. */
export class KernelTable {
  // Handle 0 means no kernel: a worker's control block says so before its first one.
  readonly #kernels: (HostKernel | undefined)[] = [undefined]
  readonly #handles = new WeakMap<KernelSource, KernelHandle>()
  readonly #modules = new WeakMap<ModuleSource, HostModule>()
  #moduleCount = 0
  /** Kernels given as text, by their whole definition, so that a kernel defined in a loop is loaded once. */
  readonly #texts = new Map<string, KernelHandle>()
  /** The checked version of each kernel that has one. */
  readonly #checked = new Map<KernelHandle, KernelHandle>()
  readonly #preparations = new Map<KernelHandle, Preparation>()
  #end: Error | undefined
  #copies: number | undefined
  readonly #pool: WorkerPool
  /** What has workers load each module's code. */
  readonly #loaders = new WeakMap<ModuleSource, KernelHandle>()
  readonly #keepAlive: KeepAlive
  /** The device's memory, which is made later. */
  readonly #memory: () => KernelMemory

  constructor(pool: WorkerPool, keepAlive: KeepAlive, memory: () => KernelMemory) {
    this.#pool = pool
    this.#keepAlive = keepAlive
    this.#memory = memory
  }

  load(source: KernelSource, compiled?: CompiledWasm): KernelHandle {
    const known = this.#handles.get(source)
    if (known !== undefined) return known
    const module = this.#module(source.module, compiled)
    const kernel = checkKernel(source, this.#kernels.length, module, () => this.#structCopies())
    const text = textOf(kernel)
    const id = (text === undefined ? undefined : this.#texts.get(text)) ?? this.#add(kernel)
    if (text !== undefined) this.#texts.set(text, id)
    this.#handles.set(source, id)
    return id
  }

  /** The module's globals, in the order of their declarations. */
  loadGlobals(source: ModuleSource): readonly LoadedGlobal[] {
    return this.#module(source).loaded
  }

  /** Loads a module's code as {@link prepare} loads a kernel, also if it has no kernel. */
  async prepareModule(source: ModuleSource): Promise<void> {
    this.#keepAlive.hold()
    try {
      if (!this.#modules.has(source)) this.#module(source, await this.#compileAhead(source))
      await this.#preparation(this.#loaders.get(source) ?? this.#addLoader(source))
    } finally {
      this.#keepAlive.release()
    }
  }

  #addLoader(source: ModuleSource): KernelHandle {
    const id = this.#add(loaderOf(source.label, this.#kernels.length, this.#module(source)))
    this.#loaders.set(source, id)
    return id
  }

  #module(source: ModuleSource, compiled?: CompiledWasm): HostModule {
    const known = this.#modules.get(source)
    if (known !== undefined) return known
    const body = checkModule(source, compiled)
    const loaded = this.#allocateGlobals(source)
    const globals = source.globals.map(({ name, dtype, length }, index) => ({
      name,
      code: parameterCode({ dtype, access: undefined }),
      address: loaded[index]?.address ?? 0,
      length,
    }))
    const module = { id: this.#moduleCount++, body, globals, loaded }
    this.#modules.set(source, module)
    return module
  }

  #allocateGlobals({ globals }: ModuleSource): LoadedGlobal[] {
    const loaded: LoadedGlobal[] = []
    try {
      for (const { dtype, length, isConstant } of globals) {
        const { address } = this.#memory().allocatePinned(length * elementsOf(dtype).byteLength)
        loaded.push({ address, isConstant })
      }
      return loaded
    } catch (error) {
      this.freeGlobals(loaded)
      throw error
    }
  }

  freeGlobals(globals: readonly LoadedGlobal[]): void {
    for (const { address } of globals) this.#memory().freePinned(address)
  }

  /** Nobody launches its kernels any more. JavaScript cannot unload a module's code. */
  unload(source: ModuleSource): void {
    this.#modules.delete(source)
  }

  #add(kernel: HostKernel): KernelHandle {
    const { id, name, exportName, codes, structs, check, module } = kernel
    const { id: moduleId, body, globals } = module
    this.#pool.define({ id, name, exportName, codes, structs, check, module: { id: moduleId, body, globals } })
    this.#kernels.push(kernel)
    return id
  }

  /** Where workers put the copies of structs for WebAssembly kernels. */
  #structCopies(): number {
    this.#copies ??= this.#memory().reserve(COPY_BYTES * this.#pool.most)
    return this.#copies
  }

  get(handle: KernelHandle): HostKernel {
    return this.#kernels[handle] ?? noKernel(handle)
  }

  /** The same kernel for launches that are checked. */
  checked(handle: KernelHandle): HostKernel {
    const kernel = this.get(handle)
    const known = this.#checked.get(handle)
    if (known !== undefined) return this.get(known)
    const { primitives, words, watchesOutputs } = kernel
    const check = { parameters: primitives, words, watchesOutputs }
    const id = this.#add({ ...kernel, id: this.#kernels.length, check })
    this.#checked.set(handle, id)
    return this.get(id)
  }

  nameOf(handle: KernelHandle): string | undefined {
    return this.#kernels[handle]?.name
  }

  /** Loads a kernel on every started worker that is not running a stream. */
  async prepare(source: KernelSource): Promise<KernelHandle> {
    this.#keepAlive.hold()
    try {
      const handle = this.#handles.get(source) ?? this.load(source, await this.#compileAhead(source.module))
      return await this.#preparation(handle)
    } finally {
      this.#keepAlive.release()
    }
  }

  #preparation(handle: KernelHandle): Promise<KernelHandle> {
    if (this.#end !== undefined) throw this.#end
    return (this.#preparations.get(handle) ?? this.#loadEverywhere(handle)).promise
  }

  async #compileAhead(source: ModuleSource): Promise<CompiledWasm | undefined> {
    return this.#modules.has(source) ? undefined : compileAhead(source)
  }

  /** A worker has answered a request to load a kernel. */
  loaded(handle: KernelHandle, block: number, thrown: Thrown | undefined): void {
    const preparation = this.#preparations.get(handle)
    if (preparation === undefined) return
    preparation.unanswered.delete(block)
    preparation.hasAnswer = true
    if (thrown !== undefined) {
      const { name, exportName } = this.get(handle)
      const what = exportName === undefined ? name : `Kernel "${name}"`
      const reason = `${what} cannot run on the host device: ${thrown.text}`
      this.#finish(handle, preparation).reject(new AuxstreamError("AUX_KERNEL_INVALID", reason))
    } else {
      this.#checkAnswers()
    }
  }

  /** Called if workers could not be started. If no worker has answered a request yet, all workers are asked again. */
  askAgain(): void {
    for (const [handle, preparation] of this.#preparations) {
      if (!preparation.hasAnswer) preparation.unanswered = new Set(this.#pool.load(handle))
    }
    this.#checkAnswers()
  }

  /** Resolves the preparations that all available workers have answered. */
  #checkAnswers(): void {
    for (const [handle, preparation] of this.#preparations) {
      const { hasAnswer, unanswered } = preparation
      if (hasAnswer && !this.#pool.isAnyIdle(unanswered)) this.#finish(handle, preparation).resolve(handle)
    }
  }

  /** Rejects all current and later preparations. */
  failAll(error: Error): void {
    this.#end ??= error
    for (const [handle, preparation] of this.#preparations) this.#finish(handle, preparation).reject(error)
  }

  #loadEverywhere(handle: KernelHandle): Preparation {
    let resolve: Preparation["resolve"] = () => undefined
    let reject: Preparation["reject"] = () => undefined
    const promise = new Promise<KernelHandle>((resolvePromise, rejectPromise) => {
      resolve = resolvePromise
      reject = rejectPromise
    })
    // A fork needs two workers. The others start with the streams that need them, and load kernels at first use.
    this.#pool.reach(2)
    const unanswered = new Set(this.#pool.load(handle))
    const preparation = { promise, unanswered, hasAnswer: false, resolve, reject }
    this.#preparations.set(handle, preparation)
    return preparation
  }

  #finish(handle: KernelHandle, preparation: Preparation): Preparation {
    this.#preparations.delete(handle)
    return preparation
  }
}

/**
 * The whole definition of a kernel given as text; undefined for a file, whose contents may change, and for a module with
 * globals of its own.
 */
function textOf({ name, exportName, primitives, structs, watchesOutputs, module }: HostKernel): string | undefined {
  const { body, globals } = module
  if (globals.length > 0 || !("url" in body) || !body.url.startsWith("data:")) return undefined
  return JSON.stringify([name, exportName, primitives, structs, watchesOutputs, body.url])
}

function noKernel(handle: number): never {
  throw new RangeError(`there is no kernel ${handle}`)
}
