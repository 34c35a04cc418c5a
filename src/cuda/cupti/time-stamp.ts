/** CUPTI's time stamps: nanoseconds in two halves, because a single number could not hold them exactly. */
export interface TimeStamp {
  readonly low: number
  readonly high: number
}

const HALF = 2 ** 32

/** Nanoseconds from one time stamp to another. */
export function between(from: TimeStamp, to: TimeStamp): number {
  return (to.high - from.high) * HALF + (to.low - from.low)
}
