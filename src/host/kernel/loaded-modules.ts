/** The modules that are loaded on one worker. Kernels of one module share its state there. */
import type { DeviceMemory } from "../control/memory.js"
import { wasm, type WasmModule } from "../control/web-assembly.js"
import type { ModuleDefinition } from "./module-check.js"
import { makeView, type View } from "./views.js"

/** The global arrays of a module, by their names. */
export type Globals = Readonly<Record<string, View>>

export class LoadedModules {
  readonly memory: DeviceMemory
  readonly #instances = new Map<number, WasmExports>()
  readonly #globals = new Map<number, Globals>()

  /** The worker's place among the workers. */
  readonly worker: number

  constructor(memory: DeviceMemory, worker: number) {
    this.memory = memory
    this.worker = worker
  }

  /** The exports of a WebAssembly module, which is instantiated once. */
  instance({ id, globals }: ModuleDefinition, module: WasmModule): WasmExports {
    const known = this.#instances.get(id)
    if (known !== undefined) return known
    const { exports } = new wasm.Instance(module, { env: { memory: this.memory.memory } })
    for (const { name, address } of globals) setGlobal(exports[name], name, address)
    this.#instances.set(id, exports)
    return exports
  }

  /** The global arrays of a JavaScript module. */
  globalsOf({ id, globals }: ModuleDefinition): Globals {
    const known = this.#globals.get(id)
    if (known !== undefined) return known
    const made: Record<string, View> = {}
    for (const { name, code, address, length } of globals) made[name] = makeView(this.memory, code, address, length)
    this.#globals.set(id, Object.freeze(made))
    return made
  }
}

type WasmExports = Readonly<Record<string, unknown>>

/** Tells a WebAssembly module where one of its global arrays is. */
function setGlobal(global: unknown, name: string, address: number): void {
  try {
    if (typeof global === "object" && global !== null && Reflect.set(global, "value", address)) return
  } catch {
    // It cannot be changed.
  }
  throw new TypeError(
    `its export "${name}" must be a mutable global of type i32: it gets the offset of the global array`,
  )
}
