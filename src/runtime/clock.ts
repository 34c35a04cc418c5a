/**
 * Happens-before, as vector clocks.
 *
 * Every stream of a device has a *slot*, and counts its operations in *ticks*. A stream's clock holds, for each slot,
 * the newest tick that everything queued on the stream from now on runs after. `record` copies the clock into the
 * event, `wait` merges the event's copy, a synchronisation merges into the host's clock, which every stream merges
 * before it queues.
 *
 * A slot is given to a new stream once the host knows that all work of the old one is done. Ticks go on counting
 * there, so that a pair of slot and tick never names two operations.
 */
export class VectorClock {
  readonly #ticks: number[] = []

  /** Is everything up to this tick of this slot ordered before? */
  covers(slot: number, tick: number): boolean {
    return (this.#ticks[slot] ?? 0) >= tick
  }

  /** Is everything that the other clock knows ordered before? */
  coversAll(other: VectorClock): boolean {
    const mine = this.#ticks
    const theirs = other.#ticks
    for (let slot = 0; slot < theirs.length; slot++) {
      if ((theirs[slot] ?? 0) > (mine[slot] ?? 0)) return false
    }
    return true
  }

  /** Takes in what the other clock knows. Returns whether that was news. */
  merge(other: VectorClock): boolean {
    const mine = this.#ticks
    const theirs = other.#ticks
    let news = false
    for (let slot = 0; slot < theirs.length; slot++) {
      const tick = theirs[slot] ?? 0
      if (slot === mine.length) mine.push(0)
      if (tick > (mine[slot] ?? 0)) {
        mine[slot] = tick
        news = true
      }
    }
    return news
  }

  /** Becomes equal to the other clock. */
  copyFrom(other: VectorClock): void {
    const mine = this.#ticks
    const theirs = other.#ticks
    if (mine.length !== theirs.length) mine.length = theirs.length
    for (let slot = 0; slot < theirs.length; slot++) mine[slot] = theirs[slot] ?? 0
  }

  /** A clock of its own with the same knowledge. */
  copy(): VectorClock {
    const copy = new VectorClock()
    copy.copyFrom(this)
    return copy
  }

  /** Sets a stream's own entry. */
  set(slot: number, tick: number): void {
    const ticks = this.#ticks
    while (ticks.length <= slot) ticks.push(0)
    ticks[slot] = tick
  }
}

/** Gives out the slots of a device's clocks. */
export class ClockSlots {
  readonly #free: { slot: number; tick: number }[] = []
  #count = 0

  /** A slot, and the tick behind which its new stream counts on. */
  take(): { slot: number; tick: number } {
    return this.#free.pop() ?? { slot: this.#count++, tick: 0 }
  }

  /** Takes a slot back. The host's clock covers all of its ticks. */
  give(slot: number, tick: number): void {
    this.#free.push({ slot, tick })
  }
}
