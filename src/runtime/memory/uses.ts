import type { StreamState, Use } from "../order/stream-state.js"

/** The empty list that all objects without other uses share. It must never be changed. */
const none: Use[] = []

/** Up to this number of other uses, each new use checks all of them. */
const FEW = 8

/**
 * The last uses of a piece of memory: the newest use of each stream, except those that happen before another one. Usually
 * there is a single use, so it has fields of its own.
 */
export class Uses {
  #stream: StreamState | undefined
  #tick = 0
  /** May contain uses that are no longer needed. They are removed when the list has doubled since the last time. */
  #others: Use[] = none
  #limit = FEW

  /** Notes a use by the operation that the stream has just counted. */
  note(stream: StreamState, tick: number): void {
    if (stream === this.#stream && this.#others.length === 0) this.#tick = tick
    else this.#noteBeside(stream, tick)
  }

  #noteBeside(stream: StreamState, tick: number): void {
    const count = this.#others.length
    if (count > 0 && (count <= FEW || count >= this.#limit))
      this.#keep((use) => !stream.isAfter(use.stream.slot, use.tick))
    const last = this.#stream
    if (last !== undefined && last !== stream && !stream.isAfter(last.slot, this.#tick)) {
      this.#addOther({ stream: last, tick: this.#tick })
    }
    this.#stream = stream
    this.#tick = tick
  }

  #addOther(use: Use): void {
    if (this.#others === none) this.#others = [use]
    else this.#others.push(use)
  }

  /** Forgets all uses, because later operations are ordered after them by other means. */
  clear(): void {
    this.#stream = undefined
    this.#others = none
  }

  /** Removes the other uses that do not pass; keeps only the newest use of each stream. */
  #keep(isKept: (use: Use) => boolean): void {
    const kept = this.#others.filter(isKept)
    this.#others = kept.length > FEW ? newestOfEach(kept) : kept
    this.#limit = 2 * Math.max(FEW, this.#others.length)
  }

  /** Adds an earlier use. The stream's present clock tells nothing about it. */
  add(use: Use): void {
    const { stream, tick } = use
    if (this.#stream === undefined) {
      this.#stream = stream
      this.#tick = tick
    } else if (stream === this.#stream) {
      this.#tick = Math.max(this.#tick, tick)
    } else {
      this.#addOther(use)
      if (this.#others.length >= this.#limit) this.#keep(() => true)
    }
  }

  /** The newest use of each stream. May contain some that happen before another one. */
  list(): Use[] {
    if (this.#stream === undefined) return []
    if (this.#others.length === 0) return [{ stream: this.#stream, tick: this.#tick }]
    return newestOfEach([...this.#others, { stream: this.#stream, tick: this.#tick }])
  }

  /** Whether every use is ordered before the stream's next operation. */
  isBefore(stream: StreamState): boolean {
    if (this.#stream === undefined) return true
    if (!stream.isAfter(this.#stream.slot, this.#tick)) return false
    for (const use of this.#others) if (!stream.isAfter(use.stream.slot, use.tick)) return false
    return true
  }
}

function newestOfEach(uses: readonly Use[]): Use[] {
  if (uses.length < 2) return [...uses]
  const newest = new Map<StreamState, Use>()
  for (const use of uses) {
    const known = newest.get(use.stream)
    if (known === undefined || known.tick < use.tick) newest.set(use.stream, use)
  }
  return [...newest.values()]
}
