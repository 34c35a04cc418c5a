/** Every byte with all accesses since it was allocated. None is ever replaced by a newer one. */
import { contains, type Operation, type Use } from "./order.js"

interface Entry {
  readonly operation: number
  readonly writes: boolean
}

/** Two operations that use a byte without order, and one of them writes it. */
export interface Race {
  readonly current: Operation
  readonly previous: Operation
  /** Unordered in the possible order, too, so that a report must come. */
  readonly isCertain: boolean
  /** On one of the bytes, no other access follows the previous operation and replaces it. */
  readonly isNewest: boolean
  readonly addresses: readonly number[]
}

type Found = { -readonly [K in keyof Race]: Race[K] } & { readonly addresses: number[] }

function keyOf(device: number, address: number): number {
  return address * 4 + device
}

export class Memory {
  readonly #bytes = new Map<number, Entry[]>()

  /** Earlier accesses of these addresses were of other memory. */
  forget(device: number, address: number, byteLength: number): void {
    for (let byte = address; byte < address + byteLength; byte++) this.#bytes.delete(keyOf(device, byte))
  }

  note(operation: number, uses: readonly Use[]): void {
    for (const { device, addresses, writes } of uses) {
      for (const address of addresses) {
        const key = keyOf(device, address)
        const entries = this.#bytes.get(key)
        if (entries === undefined) this.#bytes.set(key, [{ operation, writes }])
        else entries.push({ operation, writes })
      }
    }
  }

  /** The races of an operation, which has this number, with earlier ones. `all` is the list of these. */
  races(number: number, current: Operation, all: readonly Operation[]): Race[] {
    const found = new Map<number, Found>()
    for (const { device, addresses, writes } of current.uses) {
      for (const address of addresses) {
        const entries = this.#bytes.get(keyOf(device, address)) ?? []
        for (const [place, entry] of entries.entries()) {
          if (entry.operation === number || !(writes || entry.writes)) continue
          if (contains(current.before.promised, entry.operation)) continue
          const isCertain = !contains(current.before.possible, entry.operation)
          const isNewest = !isReplaced(entry, entries.slice(place + 1), all)
          const previous = all[entry.operation]
          if (previous === undefined) continue
          const race = found.get(entry.operation) ?? { current, previous, isCertain, isNewest, addresses: [] }
          race.isNewest ||= isNewest
          race.addresses.push(address)
          found.set(entry.operation, race)
        }
      }
    }
    return [...found.values()]
  }
}

/** A write replaces every access that is ordered before it, a read only reads. */
function isReplaced(entry: Entry, later: readonly Entry[], all: readonly Operation[]): boolean {
  return later.some(({ operation, writes }) => {
    const before = all[operation]?.before.possible ?? 0n
    return (writes || !entry.writes) && contains(before, entry.operation)
  })
}
