/** How many items one call checks. */
const PER_CALL = 4

/**
 * Items that wait until something about them is over. Each call checks only a few, round-robin, so that thousands of
 * waiting items cost a caller no more than a few do.
 */
export class Rounds<T> {
  readonly #waiting: T[] = []
  /** The index where the next call begins. */
  #next = 0

  get size(): number {
    return this.#waiting.length
  }

  /** All waiting items, in no particular order. */
  [Symbol.iterator](): Iterator<T> {
    return this.#waiting.values()
  }

  add(one: T): void {
    this.#waiting.push(one)
  }

  /** Checks at most `most` items, removes those that are over, and returns them. */
  take(isOver: (one: T) => boolean, most = PER_CALL): T[] {
    const over: T[] = []
    for (let left = Math.min(most, this.#waiting.length); left > 0; left--) {
      const place = this.#next < this.#waiting.length ? this.#next : 0
      const one = this.#waiting[place]
      if (one === undefined) break
      const isDone = isOver(one)
      if (isDone) over.push(one)
      this.#next = isDone ? this.#remove(place) : place + 1
    }
    return over
  }

  /** Checks all items. */
  takeAll(isOver: (one: T) => boolean): T[] {
    return this.take(isOver, this.#waiting.length)
  }

  /** Removes and returns all items, over or not. */
  clear(): T[] {
    this.#next = 0
    return this.#waiting.splice(0)
  }

  /** Moves the last item to the removed one's place. */
  #remove(place: number): number {
    const last = this.#waiting.pop()
    if (last !== undefined && place < this.#waiting.length) this.#waiting[place] = last
    return place
  }
}
