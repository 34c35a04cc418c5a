/**
 * Pinned memory that queued work may still write. Its contents say nothing about what JavaScript does, until that work is
 * over.
 */
import { Ranges } from "../../common/ranges.js"
import type { StreamFailures } from "../../driver/streams.js"

/** Bytes, by address, that a stream writes until it has passed a position. */
interface PendingWrite {
  readonly begin: number
  readonly end: number
  readonly stream: StreamFailures
  readonly position: number
}

export class PendingWrites {
  #writes: PendingWrite[] = []

  /** The operation queued last on a stream writes these bytes. */
  add(begin: number, end: number, stream: StreamFailures): void {
    this.#writes.push({ begin, end, stream, position: stream.position })
  }

  /** The bytes that queued work may write. */
  now(): Ranges {
    this.#writes = this.#writes.filter(({ stream, position }) => !stream.hasPassed(position))
    const bytes = new Ranges()
    for (const { begin, end } of this.#writes) bytes.add(begin, end)
    return bytes
  }
}
