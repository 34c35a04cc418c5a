/**
 * The first contents of an array. The library orders each operation that names the array after them, on whatever stream, but
 * not an operation that reaches the memory by `device.wrap`: that one is ordered by the program only, or because it comes after
 * an operation that names the array.
 */
import type { Lane } from "./lane.js"

/** An operation of a lane. */
export interface Point {
  readonly lane: Lane
  readonly tick: number
}

export class Birth {
  readonly begin: number
  readonly end: number
  /** The first contents, and the first use of each lane that only the library orders after them. What comes after one of these points comes after the first contents. */
  readonly points: [contents: Point, ...uses: Point[]]
  /** The latest lane that was found to be ordered after it. */
  latest: Lane

  constructor(contents: Point, begin: number, end: number) {
    this.begin = begin
    this.end = end
    this.points = [contents]
    this.latest = contents.lane
  }

  /**
   * Notes that a lane has used the array.
   *
   * @param isOrdered whether the lane's use comes after a point by the program's order
   */
  noteUse(use: Point, isOrdered: (point: Point) => boolean): void {
    this.latest = use.lane
    if (!this.points.some(isOrdered)) this.points.push({ lane: use.lane, tick: use.tick })
  }
}
