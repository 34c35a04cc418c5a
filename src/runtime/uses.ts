import type { StreamState } from "./stream-state.js"

/** One stream's newest use of a piece of memory. */
export interface Use {
  readonly stream: StreamState
  readonly tick: number
}

/**
 * Who used a piece of memory last: each stream's newest use, but for those that a later use is ordered behind. Mostly
 * that is a single one, which is why it has fields of its own.
 */
export class Uses {
  #stream: StreamState | undefined
  #tick = 0
  #others: Use[] = []

  /** Notes a use by the operation that the stream has just counted. */
  note(stream: StreamState, tick: number): void {
    if (stream === this.#stream && this.#others.length === 0) this.#tick = tick
    else this.#noteBeside(stream, tick)
  }

  #noteBeside(stream: StreamState, tick: number): void {
    if (this.#others.length > 0) this.#others = this.#others.filter((use) => !stream.isAfter(use.stream, use.tick))
    const last = this.#stream
    if (last !== undefined && last !== stream && !stream.isAfter(last, this.#tick)) {
      this.#others.push({ stream: last, tick: this.#tick })
    }
    this.#stream = stream
    this.#tick = tick
  }

  /** Forgets all: what comes next is ordered behind them in another way. */
  clear(): void {
    this.#stream = undefined
    this.#others = []
  }

  /** Adds a use of whenever: what the stream is ordered behind by now says nothing about it. */
  add({ stream, tick }: Use): void {
    const known = this.list().filter((use) => use.stream !== stream || use.tick > tick)
    if (known.some((use) => use.stream === stream)) return
    this.#others = known
    this.#stream = stream
    this.#tick = tick
  }

  /** The uses that no later use is ordered behind. */
  list(): Use[] {
    return this.#stream === undefined ? [] : [...this.#others, { stream: this.#stream, tick: this.#tick }]
  }

  /** Is the stream ordered behind every use? */
  areBefore(stream: StreamState): boolean {
    if (this.#stream === undefined) return true
    return stream.isAfter(this.#stream, this.#tick) && this.#others.every((use) => stream.isAfter(use.stream, use.tick))
  }
}
