/** The operations of one queue that a timeline times, by the positions of their commands. */
export class QueuedOperations {
  /** For each operation, in the order of the queue: its number, and the positions before its first and after its last command. */
  readonly #numbers: number[] = []
  readonly #begins: number[] = []
  readonly #ends: number[] = []

  /**
   * Positions that earlier operations have, such as those queued inside an external one, stay theirs.
   *
   * @returns whether any are left
   */
  add(operation: number, begin: number, end: number): boolean {
    const first = Math.max(begin, this.end)
    if (first >= end) return false
    this.#numbers.push(operation)
    this.#begins.push(first)
    this.#ends.push(end)
    return true
  }

  /** The position after the newest operation. */
  get end(): number {
    return this.#ends.at(-1) ?? 0
  }

  /** The operation whose command is at a position; undefined if there is none. */
  at(position: number): number | undefined {
    let low = 0
    let high = this.#ends.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ends[middle] ?? 0) <= position) low = middle + 1
      else high = middle
    }
    return (this.#begins[low] ?? Infinity) <= position ? this.#numbers[low] : undefined
  }

  /** Forgets the operations up to a position. */
  forget(position: number): void {
    let count = 0
    while ((this.#ends[count] ?? Infinity) <= position) count++
    for (const list of [this.#numbers, this.#begins, this.#ends]) list.splice(0, count)
  }
}
