/** How much memory has been handed out, in bytes. */
export class MemoryCount {
  /** In arrays. */
  used = 0
  /** The most that `used` ever was. */
  peak = 0
  /** In what is not an array: pinned and staging memory. */
  other = 0

  /** More goes into arrays. */
  add(byteLength: number): void {
    this.used += byteLength
    if (this.used > this.peak) this.peak = this.used
  }
}
