/** How many counts there are: a power of two, some hundred times what is usually in a set. */
const COUNTS = 1024

/**
 * A set of handles, for questions that nearly always end with no, on the way of every record and wait: a `Set` needs
 * about 20 ns to find a number of more than 31 bits, or not to. Here a count of the members that share some bits answers
 * at once unless there are some.
 */
export class HandleSet {
  readonly #members = new Set<number>()
  readonly #counts = new Uint32Array(COUNTS)

  has(handle: number): boolean {
    return this.#counts[place(handle)] !== 0 && this.#members.has(handle)
  }

  add(handle: number): void {
    if (this.has(handle)) return
    this.#members.add(handle)
    this.#change(handle, 1)
  }

  delete(handle: number): void {
    if (!this.has(handle)) return
    this.#members.delete(handle)
    this.#change(handle, -1)
  }

  #change(handle: number, by: number): void {
    const at = place(handle)
    this.#counts[at] = (this.#counts[at] ?? 0) + by
  }
}

/** Handles are addresses: the lowest bits say nothing, and those above are alike among neighbours. */
function place(handle: number): number {
  return ((handle >>> 4) ^ (handle >>> 14)) & (COUNTS - 1)
}
