/** What a row of ours is. */

import type { Device } from "auxstream"

/** Figures of one batch, each for one operation. */
export interface Figures {
  /** The time that the row is about. */
  readonly nanoseconds: number
  /** Of that, the calling thread's time until all was queued. */
  readonly host?: number
  /** Bytes read from memory in a nanosecond: GB/s. */
  readonly bandwidth?: number
  /** Processor time of this process ÷ time passed: 1 is a whole core. */
  readonly cores?: number
  /** Whatever else a row tells. */
  readonly [name: string]: number | undefined
}

/** Does so many operations. */
export type Run = (operations: number) => Figures | Promise<Figures>

/** Makes a row ready. Gives a sentence instead where it cannot be measured. */
export type MakeRow = (device: Device, ...words: string[]) => Run | string

/** Nanoseconds since a reading of `performance.now()`. */
export const nanosecondsSince = (started: number): number => (performance.now() - started) * 1e6

/** The calling thread's time for an operation; the work is waited for outside of it. */
export function queued(device: Device, operation: () => void): Run {
  return (operations) => {
    const started = performance.now()
    for (let i = 0; i < operations; i++) operation()
    const nanoseconds = nanosecondsSince(started) / operations
    device.synchronize()
    return { nanoseconds }
  }
}

/** The calling thread's time for an operation, less that of a part of it by itself, one right after the other. */
export function beyond(device: Device, operation: () => void, part: () => void): Run {
  const [whole, partial] = [queued(device, operation), queued(device, part)]
  return async (operations) => {
    const { nanoseconds } = await whole(operations)
    return { nanoseconds: nanoseconds - (await partial(operations)).nanoseconds }
  }
}

/** The time until the work is done, each time. */
export function done(device: Device, operation: () => void): Run {
  const stream = device.defaultStream
  return (operations) => {
    const started = performance.now()
    for (let i = 0; i < operations; i++) {
      operation()
      stream.synchronize()
    }
    return { nanoseconds: nanosecondsSince(started) / operations }
  }
}

/**
 * The time for one of so many layers that an operation queues, until all are done.
 *
 * @param bytes what a layer reads from memory, where that is of interest
 */
export function layered(device: Device, operation: () => void, layers: number, bytes?: number): Run {
  return (operations) => {
    const count = operations * layers
    const started = performance.now()
    for (let i = 0; i < operations; i++) operation()
    const host = nanosecondsSince(started) / count
    device.defaultStream.synchronize()
    const nanoseconds = nanosecondsSince(started) / count
    return { nanoseconds, host, ...(bytes === undefined ? {} : { bandwidth: bytes / nanoseconds }) }
  }
}
