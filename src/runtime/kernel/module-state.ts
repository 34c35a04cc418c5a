/**
 * The state behind a `KernelModule`: its declarations, and the devices on which it is loaded. Each kernel of `defineKernel`
 * has a module of its own.
 */
import type { KernelSource, ModuleSource } from "../../driver/modules.js"
import { AuxstreamError, DisposedError } from "../../common/errors.js"
import { elementsOf } from "../../common/dtype/elements.js"
import { DeviceArray } from "../device/array/device-array.js"
import type { Device } from "../device/device.js"
import { type ExternalUses, indirectUses } from "../device/stream.js"
import { IndirectUses } from "../memory/indirect-uses.js"
import { ModuleMemory } from "../memory/module-memory.js"

/** A module on one device. */
interface Loaded {
  readonly memory: ModuleMemory
  /** Its globals, in the order of their declarations. */
  readonly arrays: readonly DeviceArray[]
  readonly isConstant: readonly boolean[]
  /** The assumed use of each global by a launch that does not name it in `uses`. */
  readonly uses: IndirectUses
}

/** An index at which devices keep a kernel's handle. */
let places = 0

export class ModuleState {
  readonly source: ModuleSource
  readonly #expressions: string[]
  readonly #loaded = new WeakMap<Device, Loaded>()
  readonly #devices: WeakRef<Device>[] = []
  readonly #places: number[] = []
  #isSealed = false
  #disposed = false

  constructor(source: Omit<ModuleSource, "expressions">) {
    this.#expressions = []
    this.source = { ...source, expressions: this.#expressions }
  }

  get disposed(): boolean {
    return this.#disposed
  }

  checkUsable(): void {
    if (!this.#disposed) return
    throw new DisposedError(`${this.source.label} was disposed of. Define another one with defineModule().`)
  }

  /** Adds a kernel. @returns the index at which devices keep its handle */
  add({ name, symbol }: KernelSource): number {
    const { cuda } = this.source
    if (isExpression(symbol) && cuda !== undefined && !this.#expressions.includes(symbol)) {
      if ("source" in cuda || "file" in cuda) this.#addExpression(name, symbol)
    }
    const place = places++
    this.#places.push(place)
    return place
  }

  #addExpression(name: string, symbol: string): void {
    if (this.#isSealed) {
      throw new AuxstreamError(
        "AUX_KERNEL_INVALID",
        `Kernel "${name}" must be declared before its module is first compiled, because its symbol ` +
          `${JSON.stringify(symbol)} is a name expression, which the compiler instantiates. Call module.kernel() before the ` +
          "first launch and before prepare().",
      )
    }
    this.#expressions.push(symbol)
  }

  /** Whether each launch uses globals. */
  get hasGlobals(): boolean {
    return this.source.globals.length > 0
  }

  /** The module on a device. Loads its globals if necessary. */
  on(device: Device): Loaded {
    this.checkUsable()
    this.#isSealed = true
    return this.#loaded.get(device) ?? this.#load(device)
  }

  /** Like {@link on}, without blocking the event loop. */
  async prepare(device: Device): Promise<void> {
    this.checkUsable()
    this.#isSealed = true
    if (this.#loaded.has(device)) return
    await device.driver.kernels.prepareModule(this.source)
    this.checkLoaded(device)
    this.on(device)
  }

  /** Throws if the module was disposed of while it was being loaded. */
  checkLoaded(device: Device): void {
    device.checkUsable()
    if (this.#disposed) device.driver.kernels.unloadModule(this.source)
    this.checkUsable()
  }

  #load(device: Device): Loaded {
    const { source } = this
    const loaded = this.hasGlobals ? device.driver.kernels.loadGlobals(source) : []
    const byteLengths = source.globals.map(({ dtype, length }) => length * elementsOf(dtype).byteLength)
    const memory = new ModuleMemory(device.order, source, loaded, byteLengths)
    const arrays = memory.globals.map((global, index) => {
      const { dtype = "uint8", length = 0 } = source.globals[index] ?? {}
      return new DeviceArray(device, dtype, length, global)
    })
    const isConstant = loaded.map((global) => global.isConstant)
    const entry = { memory, arrays, isConstant, uses: new IndirectUses() }
    this.#addUses(entry, entry.uses)
    this.#loaded.set(device, entry)
    this.#devices.push(new WeakRef(device))
    return entry
  }

  /** The memory that a launch uses besides its arguments: the arrays in `uses`, and the module's other globals. */
  usesOf(device: Device, declared: ExternalUses | undefined): IndirectUses {
    const loaded = this.on(device)
    if (declared === undefined) return loaded.uses
    const uses = indirectUses(declared, device)
    this.#addUses(loaded, uses)
    return uses
  }

  #addUses({ arrays, isConstant }: Loaded, uses: IndirectUses): void {
    const named = new Set(uses.spans.map(({ allocation }) => allocation))
    for (const [index, array] of arrays.entries()) {
      if (named.has(array.allocation)) continue
      uses.add(array, isConstant[index] === true ? "read" : "readwrite", this.source.globals[index]?.name)
    }
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    for (const reference of this.#devices) {
      const device = reference.deref()
      if (device === undefined || device.disposed) continue
      for (const place of this.#places) device.kernels[place] = undefined
      this.#loaded.get(device)?.memory.dispose()
    }
  }
}

/** Whether a symbol is a name expression, which NVRTC must instantiate. */
export function isExpression(symbol: string): boolean {
  return symbol.includes("<") || symbol.includes("::")
}
