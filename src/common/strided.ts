/** Bytes in rows that are a pitch apart, as copies and fills in two dimensions use them. */

/** Rows of `width` bytes. The first begins at an address, and each other one `pitch` bytes after the previous one. */
export interface StridedRange {
  readonly address: number
  readonly width: number
  readonly pitch: number
  readonly rows: number
}

/** Whether two ranges have a byte in common. Exact: rows of one may lie between rows of the other. Empty rows have none. */
export function overlap(one: StridedRange, other: StridedRange): boolean {
  if (one.width === 0 || other.width === 0) return false
  if (one.address >= endOf(other) || other.address >= endOf(one)) return false
  if (one.pitch === other.pitch) return overlapsWithEqualPitch(one, other)
  const [fewer, more] = one.rows <= other.rows ? [one, other] : [other, one]
  for (let row = 0; row < fewer.rows; row++) {
    const begin = fewer.address + row * fewer.pitch
    if (hasRowWithin(more, begin, begin + fewer.width)) return true
  }
  return false
}

/** Bytes that two ranges have in common: those of the first row of one that overlaps the other. They must overlap. */
export function overlapOf(one: StridedRange, other: StridedRange): { begin: number; end: number } {
  const [fewer, more] = one.rows <= other.rows ? [one, other] : [other, one]
  for (let row = 0; row < fewer.rows; row++) {
    const begin = fewer.address + row * fewer.pitch
    const end = begin + fewer.width
    const first = more.address + firstRowAfter(more, begin) * more.pitch
    if (first < Math.min(end, endOf(more)))
      return { begin: Math.max(begin, first), end: Math.min(end, first + more.width) }
  }
  throw new RangeError("The ranges do not overlap.")
}

/** Where the last row ends. */
export function endOf({ address, width, pitch, rows }: StridedRange): number {
  return address + (rows - 1) * pitch + width
}

/** Whether a row contains a byte from `begin` up to `end`. Only the first row that ends after `begin` must be checked. */
function hasRowWithin(range: StridedRange, begin: number, end: number): boolean {
  const row = firstRowAfter(range, begin)
  return row < range.rows && range.address + row * range.pitch < end
}

/** The index of the first row that ends after an address, if there were rows without end. */
function firstRowAfter({ address, width, pitch }: StridedRange, begin: number): number {
  return Math.max(0, Math.floor((begin - width - address) / pitch) + 1)
}

/** Two rows overlap if their beginnings are close enough. The distance is one of `distance + k * pitch`. */
function overlapsWithEqualPitch(one: StridedRange, other: StridedRange): boolean {
  const { pitch } = one
  const distance = other.address - one.address
  const k = Math.max(1 - one.rows, Math.floor((-other.width - distance) / pitch) + 1)
  return k < other.rows && distance + k * pitch < one.width
}
