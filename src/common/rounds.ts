/** How many are looked at in one turn. */
const TURN = 4

/**
 * Things that wait until they are over. Each turn looks at a few, those first that were not looked at for longest, so
 * that thousands that wait cost whoever comes by no more than a few do.
 */
export class Rounds<T> {
  readonly #waiting: T[] = []
  /** Where the next turn begins. */
  #next = 0

  get size(): number {
    return this.#waiting.length
  }

  /** All that wait, in no order. */
  [Symbol.iterator](): Iterator<T> {
    return this.#waiting.values()
  }

  add(one: T): void {
    this.#waiting.push(one)
  }

  /** Takes out those that are over, of as many as one turn looks at unless told otherwise. */
  take(isOver: (one: T) => boolean, most = TURN): T[] {
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

  /** Looks at all. */
  takeAll(isOver: (one: T) => boolean): T[] {
    return this.take(isOver, this.#waiting.length)
  }

  /** Takes everything out, over or not. */
  clear(): T[] {
    this.#next = 0
    return this.#waiting.splice(0)
  }

  /** The last takes the free place. */
  #remove(place: number): number {
    const last = this.#waiting.pop()
    if (last !== undefined && place < this.#waiting.length) this.#waiting[place] = last
    return place
  }
}
