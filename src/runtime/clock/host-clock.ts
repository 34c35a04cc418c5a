import type { TickTable } from "./tick-table.js"
import type { Ordered, VectorClock } from "./vector-clock.js"

/** The operations that the host knows to be done. */
export class HostClock implements Ordered {
  readonly #ticks: number[] = []
  /** The parts of clocks that have been merged. Many clocks share a part, so each is merged only once. */
  readonly #learned = new WeakSet<TickTable>()

  isAfter(slot: number, tick: number): boolean {
    return (this.#ticks[slot] ?? 0) >= tick
  }

  readonly #note = (slot: number, tick: number): void => {
    while (this.#ticks.length <= slot) this.#ticks.push(0)
    if (!this.isAfter(slot, tick)) this.#ticks[slot] = tick
  }

  /** Notes that everything in the clock is done. */
  learn(clock: VectorClock): void {
    clock.visitNew(this.#learned, this.#note)
  }
}
