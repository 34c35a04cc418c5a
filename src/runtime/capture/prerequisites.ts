import type { Birth } from "../memory/birth.js"
import type { UsedMemory } from "../memory/used-memory.js"
import type { StreamState } from "../order/stream-state.js"

/** The births of many pieces of memory. After the first time, ordering a stream after all of them costs nothing. */
export class Prerequisites {
  readonly #births = new Set<Birth>()
  #behind = new WeakSet<StreamState>()
  /** The latest stream that was ordered after all of them. Usually the same stream asks again. */
  #latest: StreamState | undefined

  add({ birth }: UsedMemory): void {
    if (birth === undefined || this.#births.has(birth)) return
    this.#births.add(birth)
    this.#behind = new WeakSet()
    this.#latest = undefined
  }

  /** Makes the stream's next operation run after all of the births. */
  orderBefore(stream: StreamState): void {
    if (stream !== this.#latest && this.#births.size > 0) this.#orderAnother(stream)
  }

  #orderAnother(stream: StreamState): void {
    if (!this.#behind.has(stream)) {
      for (const birth of this.#births) {
        birth.orderBefore(stream)
        if (birth.isOver) this.#births.delete(birth)
      }
      this.#behind.add(stream)
    }
    this.#latest = stream
  }
}
