const BITS = 5
const WIDTH = 2 ** BITS
const LAST = WIDTH - 1

/**
 * An immutable map from slots to ticks; the default is 0. A changed table shares everything else with the original, so that
 * thousands of streams that know each other do not need a copy each.
 *
 * It is a tree whose leaves hold the ticks of 32 slots. With up to 32 streams, the root is a leaf.
 */
export class TickTable {
  /** 0 for a leaf; otherwise the number of low bits of a slot that select an entry below the children. */
  readonly #shift: number
  readonly #ticks: readonly number[]
  readonly #children: readonly (TickTable | undefined)[]

  /** Without arguments, the empty table. */
  constructor(shift = 0, ticks: readonly number[] = [], children: readonly (TickTable | undefined)[] = []) {
    this.#shift = shift
    this.#ticks = ticks
    this.#children = children
  }

  get(slot: number): number {
    let node: TickTable | undefined = this
    if (slot >>> (node.#shift + BITS) !== 0) return 0
    while (node !== undefined && node.#shift > 0) node = node.#children[(slot >>> node.#shift) & LAST]
    return node === undefined ? 0 : (node.#ticks[slot & LAST] ?? 0)
  }

  /** This table with another tick for a slot. */
  with(slot: number, tick: number): TickTable {
    let table: TickTable = this
    while (slot >>> (table.#shift + BITS) !== 0) table = table.#lifted()
    return table.#put(slot, tick)
  }

  #put(slot: number, tick: number): TickTable {
    const place = (slot >>> this.#shift) & LAST
    if (this.#shift === 0) return new TickTable(0, replaced(this.#ticks, place, tick, 0))
    const child = this.#children[place] ?? new TickTable(this.#shift - BITS)
    return new TickTable(this.#shift, [], replaced(this.#children, place, child.#put(slot, tick), undefined))
  }

  /**
   * The newer tick for each slot. If one of the two tables already is the result, that table (preferably `other`), so that
   * more is shared.
   */
  union(other: TickTable): TickTable {
    if (this.#isWithin(other)) return other
    if (other.#isWithin(this)) return this
    if (this.#shift === other.#shift) return this.#merge(other)
    return this.#shift < other.#shift
      ? this.#liftedTo(other.#shift).#merge(other)
      : this.#merge(other.#liftedTo(this.#shift))
  }

  #merge(other: TickTable): TickTable {
    const ticks = merged(this.#ticks, other.#ticks, (some = 0, others = 0) => Math.max(some, others))
    const children = merged(this.#children, other.#children, (some, others) => {
      return some === undefined || others === undefined ? (some ?? others) : some.union(others)
    })
    return new TickTable(this.#shift, ticks, children)
  }

  /** Whether no slot's tick is newer than in the other table. */
  #isWithin(other: TickTable): boolean {
    if (this === other) return true
    if (this.#shift < other.#shift) return this.#isWithin(other.#children[0] ?? new TickTable())
    if (this.#shift === 0) return this.#ticks.every((tick, slot) => tick <= (other.#ticks[slot] ?? 0))
    const others = this.#shift === other.#shift ? other.#children : [other]
    return this.#children.every(
      (child, place) => child === undefined || child.#isWithin(others[place] ?? new TickTable()),
    )
  }

  /** This table below a new root, with room for more slots. */
  #lifted(): TickTable {
    return new TickTable(this.#shift + BITS, [], [this])
  }

  #liftedTo(shift: number): TickTable {
    let table: TickTable = this
    while (table.#shift < shift) table = table.#lifted()
    return table
  }

  /** Whether all slots with a tick pass. Parts that are shared with `known` are not checked. */
  every(known: TickTable | undefined, passes: (slot: number, tick: number) => boolean, base = 0): boolean {
    if (this === known) return true
    if (this.#shift === 0) return this.#ticks.every((tick, slot) => passes(base + slot, tick))
    const others = known === undefined || known.#shift !== this.#shift ? [] : known.#children
    return this.#children.every(
      (child, place) => child === undefined || child.every(others[place], passes, base + (place << this.#shift)),
    )
  }

  /** Calls `visit` for each slot and tick, except in parts of a large table that were visited before. */
  visitNew(visited: WeakSet<TickTable>, visit: (slot: number, tick: number) => void, base = 0): void {
    if (this.#shift === 0) {
      for (let slot = 0; slot < this.#ticks.length; slot++) visit(base + slot, this.#ticks[slot] ?? 0)
      return
    }
    this.#children.forEach((child, place) => {
      if (child === undefined || visited.has(child)) return
      child.visitNew(visited, visit, base + (place << this.#shift))
      visited.add(child)
    })
  }
}

/** Merges two lists, index by index. */
function merged<T>(some: readonly T[], others: readonly T[], merge: (one?: T, other?: T) => T): T[] {
  const length = Math.max(some.length, others.length)
  return Array.from({ length }, (_, place) => merge(some[place], others[place]))
}

/** A copy of the list with another value at one index. Missing elements before it become `missing`. */
function replaced<T>(list: readonly T[], place: number, value: T, missing: T): T[] {
  const copy = list.slice()
  while (copy.length < place) copy.push(missing)
  copy[place] = value
  return copy
}
