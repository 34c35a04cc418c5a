/** Manages the slots of a device's clocks. */
export class ClockSlots {
  readonly #free: { slot: number; tick: number }[] = []
  #count = 0

  /** A slot for a new stream, and the tick at which it starts to count. */
  acquire(): { slot: number; tick: number } {
    return this.#free.pop() ?? { slot: this.#count++, tick: 0 }
  }

  /** Releases a slot. The host must know that all of its operations are done. */
  release(slot: number, tick: number): void {
    this.#free.push({ slot, tick })
  }
}
