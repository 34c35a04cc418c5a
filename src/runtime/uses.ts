import type { StreamState } from "./stream-state.js"

/** One stream's newest use of a piece of memory. */
export interface Use {
  readonly stream: StreamState
  readonly tick: number
}

/** The same, as it is kept: what a use is forgotten for takes its place. */
interface Kept {
  stream: StreamState
  tick: number
  next: Kept | undefined
}

/**
 * Who used a piece of memory last: each stream's newest use, but for those that a later use is ordered behind. What the
 * branches of a fork-join read in common has two by turns, so they are a list that is changed in place.
 */
export class Uses {
  #newest: Kept | undefined

  /** Notes a use by the operation that the stream has just counted. */
  note(stream: StreamState, tick: number): void {
    const newest = this.#newest
    if (newest !== undefined && newest.stream === stream && newest.next === undefined) newest.tick = tick
    else this.#noteBeside(stream, tick)
  }

  #noteBeside(stream: StreamState, tick: number): void {
    let forgotten: Kept | undefined
    let kept: Kept | undefined
    let use = this.#newest
    while (use !== undefined) {
      const { next } = use
      if (use.stream === stream || stream.isAfter(use.stream, use.tick)) {
        forgotten = use
      } else {
        use.next = kept
        kept = use
      }
      use = next
    }
    if (forgotten === undefined) {
      this.#newest = { stream, tick, next: kept }
      return
    }
    forgotten.stream = stream
    forgotten.tick = tick
    forgotten.next = kept
    this.#newest = forgotten
  }

  /** Adds a use of whenever: what the stream is ordered behind by now says nothing about it. */
  add({ stream, tick }: Use): void {
    for (let use = this.#newest; use !== undefined; use = use.next) {
      if (use.stream !== stream) continue
      use.tick = Math.max(use.tick, tick)
      return
    }
    this.#newest = { stream, tick, next: this.#newest }
  }

  /** The uses that no later use is ordered behind. */
  list(): Use[] {
    const uses: Use[] = []
    for (let use = this.#newest; use !== undefined; use = use.next) uses.push({ stream: use.stream, tick: use.tick })
    return uses
  }

  /** Is the stream ordered behind every use? */
  areBefore(stream: StreamState): boolean {
    for (let use = this.#newest; use !== undefined; use = use.next) {
      if (!stream.isAfter(use.stream, use.tick)) return false
    }
    return true
  }
}
