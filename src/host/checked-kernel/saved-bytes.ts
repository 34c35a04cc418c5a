/**
 * Copies of device memory that a worker makes before a kernel and compares with the memory after it. They are kept in the
 * worker's own memory, and only during one launch.
 */
import { Buffer } from "node:buffer"
import type { DeviceMemory } from "../control/memory.js"

/** More than this is freed after the launch. */
const KEPT_BYTES = 64 * 2 ** 20

/** Addresses, from `begin` up to, but not including, `end`. */
interface Piece {
  readonly begin: number
  readonly end: number
}

export class SavedBytes {
  #bytes = new Uint8Array(0)
  #used = 0
  readonly #memory: DeviceMemory

  constructor(memory: DeviceMemory) {
    this.#memory = memory
  }

  /** Drops the copies of the previous launch, and makes room for this many bytes. */
  reset(byteLength: number): void {
    this.#used = 0
    if (this.#bytes.length < byteLength) this.#bytes = new Uint8Array(byteLength)
  }

  release(): void {
    this.#used = 0
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = new Uint8Array(0)
  }

  /** Copies bytes. @returns where the copy begins */
  save({ begin, end }: Piece): number {
    const at = this.#used
    this.#bytes.set(this.#memory.reaching(end).subarray(begin, end), at)
    this.#used += end - begin
    return at
  }

  /** The part of a piece from the first to the last byte that is not as in the copy; undefined if there is none. */
  changed(at: number, { begin, end }: Piece): Piece | undefined {
    const saved = this.#bytes.subarray(at, at + end - begin)
    return differing(this.#memory.reaching(end).subarray(begin, end), saved, begin)
  }

  /** Gives a piece of a saved piece its saved contents back. `at`: where the copy of its first byte is. */
  restore(at: number, { begin, end }: Piece): void {
    this.#memory.reaching(end).set(this.#bytes.subarray(at, at + end - begin), begin)
  }
}

/** From the first to the last byte that differs, counted from `begin`; undefined if both are equal. */
export function differing(one: Uint8Array, other: Uint8Array, begin: number): Piece | undefined {
  if (Buffer.compare(one, other) === 0) return undefined
  let first = 0
  while (first < one.length && one[first] === other[first]) first++
  let last = one.length
  while (last > first && one[last - 1] === other[last - 1]) last--
  // Other code may write at the same time, and so make both equal again.
  return first < last ? { begin: begin + first, end: begin + last } : undefined
}
