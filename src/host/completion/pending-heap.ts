/** Something that waits for a position. */
export interface Waiting {
  readonly position: number
  /** A counter: of several with one position, the first added comes first. */
  readonly turn: number
  /** Its index in the heap, or -1. Only the heap writes it. */
  place: number
}

/** All that wait for positions of one stream: a binary heap, so that thousands can be added and removed in any order. */
export class PendingHeap<T extends Waiting> {
  readonly #heap: T[] = []

  get first(): T | undefined {
    return this.#heap[0]
  }

  add(one: T): void {
    this.#put(one, this.#heap.length)
    this.#rise(one)
  }

  remove(one: T): void {
    if (this.#heap[one.place] !== one) return
    const last = this.#heap.pop()
    if (last !== undefined && last !== one) {
      this.#put(last, one.place)
      this.#rise(last)
      this.#sink(last)
    }
    one.place = -1
  }

  #put(one: T, place: number): void {
    this.#heap[place] = one
    one.place = place
  }

  #swap(one: T, other: T): void {
    const { place } = one
    this.#put(one, other.place)
    this.#put(other, place)
  }

  #rise(one: T): void {
    for (;;) {
      const parent = one.place === 0 ? undefined : this.#heap[(one.place - 1) >> 1]
      if (parent === undefined || comesBefore(parent, one)) return
      this.#swap(one, parent)
    }
  }

  #sink(one: T): void {
    for (;;) {
      const left = this.#heap[2 * one.place + 1]
      const right = this.#heap[2 * one.place + 2]
      const child = left !== undefined && right !== undefined && comesBefore(right, left) ? right : left
      if (child === undefined || comesBefore(one, child)) return
      this.#swap(one, child)
    }
  }
}

function comesBefore(one: Waiting, other: Waiting): boolean {
  return one.position < other.position || (one.position === other.position && one.turn < other.turn)
}
