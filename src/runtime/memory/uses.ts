import type { StreamState } from "../order/stream-state.js"
import type { Use } from "../order/use.js"

/** Shared by all that have no other uses, and never changed. */
const none: Use[] = []

/** So few other uses are looked through at each new one. */
const FEW = 8

/**
 * Who used a piece of memory last: each stream's newest use, but for those that a later use is ordered behind. Mostly
 * that is a single one, which is why it has fields of its own.
 */
export class Uses {
  #stream: StreamState | undefined
  #tick = 0
  /** With many, some that could go, too: they are looked through once there are twice as many as the last time. */
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

  /** Forgets all: what comes next is ordered behind them in another way. */
  clear(): void {
    this.#stream = undefined
    this.#others = none
  }

  /** Keeps some of the other uses; of each stream only the newest. */
  #keep(isKept: (use: Use) => boolean): void {
    const kept = this.#others.filter(isKept)
    this.#others = kept.length > FEW ? newestOfEach(kept) : kept
    this.#limit = 2 * Math.max(FEW, this.#others.length)
  }

  /** Adds a use of whenever: what the stream is ordered behind by now says nothing about it. */
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

  /** Each stream's newest use: those that no later use is ordered behind, and perhaps some that one is. */
  list(): Use[] {
    if (this.#stream === undefined) return []
    if (this.#others.length === 0) return [{ stream: this.#stream, tick: this.#tick }]
    return newestOfEach([...this.#others, { stream: this.#stream, tick: this.#tick }])
  }

  /** Whether every use is ordered before the stream's next operation. */
  isBefore(stream: StreamState): boolean {
    if (this.#stream === undefined) return true
    return (
      stream.isAfter(this.#stream.slot, this.#tick) &&
      this.#others.every((use) => stream.isAfter(use.stream.slot, use.tick))
    )
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
