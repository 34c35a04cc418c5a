import type { StreamFailures } from "../../driver.js"
import { tell } from "../order/told-failures.js"

/** So many writes are kept before those that are done are looked for. */
const crowd = 8

/** The newest write of one stream to some bytes of the memory. An older one fails whenever this one does. */
interface Write {
  readonly stream: StreamFailures
  position: number
  readonly begin: number
  readonly end: number
}

/**
 * Which bytes of a piece of memory have been written, on devices where a kernel's failure breaks its stream alone.
 * Operations behind the failure are skipped: what they should have written is garbage, which nobody may use before it
 * is overwritten. Writes that are done are forgotten.
 */
export class Writes {
  #writes: Write[] = []
  #limit = crowd

  /** The operation queued last on a stream writes these bytes, or some of them. */
  note(stream: StreamFailures, begin: number, byteLength: number): void {
    const writes = this.#writes
    const end = begin + byteLength
    const newest = writes[writes.length - 1]
    if (newest?.stream === stream && newest.begin === begin && newest.end === end) {
      newest.position = stream.position
      return
    }
    for (let index = writes.length - 1; index >= 0 && index >= writes.length - crowd; index--) {
      const write = writes[index]
      if (write?.stream === stream && write.begin === begin && write.end === end) {
        write.position = stream.position
        return
      }
    }
    if (writes.length >= this.#limit) this.#forgetDone()
    this.#writes.push({ stream, position: stream.position, begin, end })
  }

  /** The operation queued last on a stream overwrites all of these bytes: what they were before does not matter. */
  overwrite(stream: StreamFailures, begin: number, byteLength: number): void {
    const end = begin + byteLength
    const [only] = this.#writes
    const isOnlySame = this.#writes.length === 1 && only?.begin === begin && only.end === end && only.stream === stream
    if (only !== undefined && !isOnlySame) this.#writes = this.#writes.flatMap((write) => without(write, begin, end))
    this.note(stream, begin, byteLength)
  }

  /**
   * Refuses bytes that a failed operation should have written, or one that was skipped because of it.
   *
   * @param by the stream that wants to use them, which refuses everything by itself if it is the broken one
   */
  check(begin: number, byteLength: number, by?: StreamFailures): void {
    const writes = this.#writes
    const first = writes[0]
    if (first === undefined || (first.stream === by && writes.length === 1) || !first.stream.arePossible) return
    for (let index = 0; index < writes.length; index++) {
      const write = writes[index]
      if (write === undefined || write.stream === by) continue
      if (write.begin >= begin + byteLength || write.end <= begin) continue
      const failure = write.stream.before(write.position)
      if (failure !== undefined) throw tell(failure)
    }
  }

  /** Where so many are left, the next look comes later, so that a write costs the same however many there are. */
  #forgetDone(): void {
    this.#writes = newestOfEach(this.#writes.filter(({ stream, position }) => !isDone(stream, position)))
    this.#limit = Math.max(crowd, 2 * this.#writes.length)
  }
}

/** Of the writes of one stream to the same bytes, the newest. */
function newestOfEach(writes: readonly Write[]): Write[] {
  const seen = new Map<StreamFailures, Set<string>>()
  return writes
    .toReversed()
    .filter(({ stream, begin, end }) => {
      const bytes = `${begin}-${end}`
      const known = seen.get(stream)
      if (known === undefined) seen.set(stream, new Set([bytes]))
      else if (known.has(bytes)) return false
      else known.add(bytes)
      return true
    })
    .toReversed()
}

function isDone(stream: StreamFailures, position: number): boolean {
  return stream.hasPassed(position) && stream.before(position) === undefined
}

/** What is left of a write, but for these bytes. */
function without(write: Write, begin: number, end: number): Write[] {
  if (write.begin >= end || write.end <= begin) return [write]
  const left: Write[] = []
  if (write.begin < begin) left.push({ ...write, end: begin })
  if (write.end > end) left.push({ ...write, begin: end })
  return left
}
