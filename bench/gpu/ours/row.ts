/** The definition of a row. */

import type { Device } from "auxstream"

/** Figures of one batch, each for one operation. */
export interface Figures {
  /** The row's time. */
  readonly nanoseconds: number
  /** The part that the calling thread took to queue everything. */
  readonly host?: number
  /** Bytes read from memory per nanosecond: GB/s. */
  readonly bandwidth?: number
  /** CPU time of this process ÷ elapsed time: 1 is a whole core. */
  readonly cores?: number
  /** Other figures. */
  readonly [name: string]: number | undefined
}

/** Runs a number of operations. */
export type Run = (operations: number) => Figures | Promise<Figures>

/** Prepares a row. @returns the reason if it cannot be measured */
export type MakeRow = (device: Device, ...words: string[]) => Run | string

/** Nanoseconds since a reading of `performance.now()`. */
export const nanosecondsSince = (started: number): number => (performance.now() - started) * 1e6

/** The calling thread's time for an operation, without the wait for the work. */
export function queued(device: Device, operation: () => void): Run {
  return (operations) => {
    const started = performance.now()
    for (let i = 0; i < operations; i++) operation()
    const nanoseconds = nanosecondsSince(started) / operations
    device.synchronize()
    return { nanoseconds }
  }
}

/** The calling thread's time for an operation minus the time of a part of it, measured directly after it. */
export function beyond(device: Device, operation: () => void, part: () => void): Run {
  const [whole, partial] = [queued(device, operation), queued(device, part)]
  return async (operations) => {
    const { nanoseconds } = await whole(operations)
    return { nanoseconds: nanoseconds - (await partial(operations)).nanoseconds }
  }
}

/** The time until the work of each operation is done. */
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
 * The time of one layer, where an operation queues several layers and waits for all.
 *
 * @param bytes the bytes that a layer reads from memory, if its bandwidth is reported
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
