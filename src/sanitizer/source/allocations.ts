/** Where the memory of one device was allocated. */
import type { Frame } from "./stack.js"

export interface AllocationSite {
  readonly address: number
  readonly byteLength: number
  readonly stack: readonly Frame[] | undefined
}

/** The allocations since the sanitizer started. They are found when a race is reported, so that is all that may be slow. */
export class Allocations {
  readonly #sites = new Map<number, AllocationSite>()

  add(address: number, byteLength: number, stack: readonly Frame[] | undefined): void {
    this.#sites.set(address, { address, byteLength, stack })
  }

  delete(address: number): void {
    this.#sites.delete(address)
  }

  /** The allocation that contains an address. */
  at(address: number): AllocationSite | undefined {
    const exact = this.#sites.get(address)
    if (exact !== undefined) return exact
    for (const site of this.#sites.values()) {
      if (address >= site.address && address < site.address + site.byteLength) return site
    }
    return undefined
  }
}
