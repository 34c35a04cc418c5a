/** What the six programs have in common. */

import type { Device, DeviceArray } from "auxstream"

/** A program with its arrays on a device. Its functions queue the same operations. */
export interface Opened {
  /** Queues everything on the current stream. */
  readonly inSequence: () => void
  /** Queues independent parts side by side, as somebody with knowledge of the program would. */
  readonly byHand: () => void
  /** The values that the program computes. */
  readonly results: readonly DeviceArray[]
}

export interface Program {
  readonly name: string
  /** The meaning of its size, for example "elements". */
  readonly unit: string
  open(device: Device, size: number): Opened
}

/** The same numbers in each run: at least 0, less than 1. */
export function numbers(length: number, seed: number): Float32Array {
  const values = new Float32Array(length)
  let state = seed >>> 0
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    values[index] = (state >>> 8) / 2 ** 24
  }
  return values
}
