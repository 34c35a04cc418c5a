/**
 * The memory of a module on one device: its code and its global arrays. It is kept until the module has been disposed of,
 * no graph uses it, and queued work is over.
 */
import type { LoadedGlobal, ModuleSource } from "../../driver/modules.js"
import type { DeviceOrder } from "../order/device-order.js"
import { Allocation } from "./allocation.js"
import { ForgottenWatch } from "./owned/forgotten.js"
import { RetainedMemory } from "./retained.js"
import type { Uses } from "./uses.js"

/** A module that is loaded on a device. Graphs with launches of its kernels keep it. */
export class ModuleMemory extends RetainedMemory {
  readonly globals: readonly GlobalMemory[]
  readonly #order: DeviceOrder
  readonly #source: ModuleSource
  readonly #release: GlobalsRelease

  constructor(
    order: DeviceOrder,
    source: ModuleSource,
    loaded: readonly LoadedGlobal[],
    byteLengths: readonly number[],
  ) {
    super()
    this.#order = order
    this.#source = source
    this.globals = loaded.map(({ address }, index) => new GlobalMemory(order, address, byteLengths[index] ?? 0, this))
    const uses = this.globals.map((global) => global.uses)
    this.#release = new GlobalsRelease(order, loaded, uses)
    if (loaded.length > 0) forgotten.watch(source, this.#release)
  }

  /** The module has been disposed of. */
  override dispose(): void {
    for (const global of this.globals) global.dispose()
    super.dispose()
  }

  protected override free(): void {
    if (this.#order.closed) return
    forgotten.unwatch(this.#release)
    this.#release.dispose()
    this.#order.driver.kernels.unloadModule(this.#source)
  }
}

/** A global array. It refers to its module, so that a view of it keeps the module loaded. */
export class GlobalMemory extends Allocation {
  readonly #module: ModuleMemory

  constructor(order: DeviceOrder, address: number, byteLength: number, module: ModuleMemory) {
    super(order, address, byteLength, undefined)
    order.observer?.provided(order, this, address, byteLength)
    this.#module = module
    module.retain()
  }

  protected override free(): void {
    this.#module.release(this.uses.list())
  }
}

/** Frees the globals of one module on one device, if they are not part of its code. Must not refer to the module. */
class GlobalsRelease {
  readonly #order: DeviceOrder
  readonly #loaded: readonly LoadedGlobal[]
  readonly #uses: readonly Uses[]
  #disposed = false

  constructor(order: DeviceOrder, loaded: readonly LoadedGlobal[], uses: readonly Uses[]) {
    this.#order = order
    this.#loaded = loaded
    this.#uses = uses
  }

  get disposed(): boolean {
    return this.#disposed
  }

  dispose(): void {
    this.#disposed = true
    const { kernels } = this.#order.driver
    if (kernels.freeGlobals === undefined || this.#order.closed) return
    const uses = this.#uses.flatMap((each) => each.list())
    this.#order.deferredReleases.add(uses, () => kernels.freeGlobals?.(this.#loaded))
  }
}

const forgotten = new ForgottenWatch<GlobalsRelease>(undefined, (release) => release.dispose())
