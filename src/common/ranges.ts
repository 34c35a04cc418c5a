/** From `begin` up to, but not including, `end`. */
export interface Range {
  readonly begin: number
  readonly end: number
}

/** A set of integers, kept as sorted ranges that neither touch nor overlap. */
export class Ranges {
  readonly #ranges: Range[] = []

  add(begin: number, end: number): void {
    if (begin >= end) return
    const first = this.#firstEndingAt(begin)
    let last = first
    let merged: Range = { begin, end }
    for (let next = this.#ranges[last]; next !== undefined && next.begin <= end; next = this.#ranges[++last]) {
      merged = { begin: Math.min(merged.begin, next.begin), end: Math.max(merged.end, next.end) }
    }
    this.#ranges.splice(first, last - first, merged)
  }

  [Symbol.iterator](): Iterator<Range> {
    return this.#ranges.values()
  }

  /** Whether the whole range is in the set. */
  covers(begin: number, end: number): boolean {
    const range = this.#ranges[this.#firstEndingAt(end)]
    return begin >= end || (range !== undefined && range.begin <= begin)
  }

  overlaps(begin: number, end: number): boolean {
    const range = this.#ranges[this.#firstEndingAt(begin + 1)]
    return begin < end && range !== undefined && range.begin < end
  }

  /** The parts of a range that are not in the set. */
  outside(begin: number, end: number): Range[] {
    const parts: Range[] = []
    let from = begin
    for (let place = this.#firstEndingAt(begin + 1); from < end; place++) {
      const next = this.#ranges[place]
      const to = Math.min(end, next?.begin ?? end)
      if (from < to) parts.push({ begin: from, end: to })
      from = next?.end ?? end
    }
    return parts
  }

  /** The index of the first range that does not end before `position`. */
  #firstEndingAt(position: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#ranges[middle]?.end ?? Infinity) < position) low = middle + 1
      else high = middle
    }
    return low
  }
}
