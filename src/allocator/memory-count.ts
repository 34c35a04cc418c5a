/** Counts the allocated memory, in bytes. */
export class MemoryCount {
  /** In arrays. */
  used = 0
  /** The largest value of `used` so far, or since the last reset. */
  peak = 0
  /** In pinned and staging memory. */
  other = 0

  /** Counts a new array. */
  add(byteLength: number): void {
    this.used += byteLength
    if (this.used > this.peak) this.peak = this.used
  }

  resetPeak(): void {
    this.peak = this.used
  }
}
