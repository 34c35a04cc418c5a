import type { StreamSlot } from "./stream.js"

/** A snapshot of all slots is taken only when at least one slot in this many waits for it. */
const SLOTS_PER_WAITING = 16

/**
 * Slots of destroyed streams that were broken. Queued waits may still name such a slot, and must find it broken. So it is
 * reused only once everything that was queued when it came here is done. All slots that arrive between two snapshots of
 * the queues share the next snapshot, or many broken streams beside many busy ones would be expensive.
 */
export class Quarantine {
  #arrived: StreamSlot[] = []
  #leaving: StreamSlot[] = []
  /** What the leaving slots wait for. */
  #until: { readonly slot: StreamSlot; readonly position: number }[] = []
  readonly #slots: readonly StreamSlot[]

  /** @param slots all slots of the device */
  constructor(slots: readonly StreamSlot[]) {
    this.#slots = slots
  }

  add(slot: StreamSlot): void {
    this.#arrived.push(slot)
  }

  /** Removes and returns the slots that no queued wait names any more. */
  take(): StreamSlot[] {
    for (let last = this.#until.at(-1); last !== undefined; last = this.#until.at(-1)) {
      if (!last.slot.hasPassed(last.position)) return []
      this.#until.pop()
    }
    const left = this.#leaving
    this.#leaving = []
    if (this.#arrived.length * SLOTS_PER_WAITING >= this.#slots.length) this.#begin()
    return left
  }

  #begin(): void {
    this.#leaving = this.#arrived
    this.#arrived = []
    for (const slot of this.#slots) if (!slot.isIdle()) this.#until.push({ slot, position: slot.tail })
  }
}
