/**
 * The ends of streams that were destroyed while work was queued on them, and the streams that cannot be destroyed yet.
 *
 * Must never block, cancel work, or invalidate a capture that a stream is part of.
 */
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import { SUCCESS } from "../api/status.js"
import type { CudaContext } from "../api/context.js"
import { ledger } from "../ledger/ledger.js"
import type { Captures } from "./captures.js"
import { type EventPool, hasPassed } from "./event-pool.js"

/** The number of ends, and of streams that wait to be destroyed, that are checked whenever a stream is destroyed. */
const LOOKS = 4

/** Called when a stream's work is over. */
export type WhenOver = (() => void) | undefined

/** The destroyed streams of one device. */
export class StreamEnds {
  readonly #context: CudaContext
  readonly #captures: Captures
  readonly #events: EventPool
  /** Streams to destroy once their ends can be marked: when a foreign capture has ended, or when a failed call succeeds. */
  readonly #leaving = new Map<StreamHandle, WhenOver>()
  /** For each destroyed stream whose work may still run: the event after that work. */
  readonly #ends = new Map<EventHandle, WhenOver>()

  constructor(context: CudaContext, captures: Captures, events: EventPool) {
    this.#context = context
    this.#captures = captures
    this.#events = events
  }

  /** Whether the work of all destroyed streams is over. Those that are still captured do not count. */
  get areReached(): boolean {
    return this.#ends.size === 0
  }

  /** Whether all remaining streams are in foreign captures, which may never end. */
  get onlyCapturedRemain(): boolean {
    return this.#ends.size === 0 && this.#leaving.size > 0
  }

  /** Destroys a stream after its work. Never throws. */
  add(stream: StreamHandle, whenOver: WhenOver): void {
    const leaving = [...nextFew(this.#leaving), [stream, whenOver] as const]
    this.#leaving.set(stream, whenOver)
    // A failure is retried at the next check.
    failuresOf(nextFew(this.#ends), ([event, over]) => this.#forgetIfReached(event, over))
    failuresOf(leaving, ([one, over]) => this.#leave(one, over))
  }

  /** Marks the end of an adopted stream's work, unless the owner captures the stream now. Never throws. */
  addAdopted(stream: StreamHandle, whenOver: WhenOver): void {
    failuresOf([stream], () => {
      if (!this.#captures.isInAnyCapture(stream)) this.#mark(stream, whenOver)
    })
  }

  #leave(stream: StreamHandle, whenOver: WhenOver): void {
    // Destroying it would invalidate the capture, and an event recorded in it would not mark the earlier work.
    if (this.#captures.isInAnyCapture(stream)) return
    ledger().locked(() => {
      this.#mark(stream, whenOver)
      this.#leaving.delete(stream)
      this.#destroy(stream)
    })
    this.#captures.foreign.forgetStream(stream)
  }

  /** Records the stream's end, and enters it in the ledger in place of the stream. */
  #mark(stream: StreamHandle, whenOver: WhenOver): void {
    const end = this.#events.record(stream)
    this.#ends.set(end, whenOver)
    this.#context.holding.change(end, "end")
  }

  #destroy(stream: StreamHandle): void {
    this.#context.holding.remove(stream)
    let status = this.#context.calls.cuStreamDestroy(stream)
    if (status !== SUCCESS) status = this.#context.again(status, "cuStreamDestroy", stream)
    if (status !== SUCCESS) this.#context.warnOfLeak(status, "cuStreamDestroy")
  }

  /**
   * Forgets the ends that have been reached, and marks the ends of streams that could not be destroyed before.
   *
   * @returns whether none is left
   * @throws the first failure, after all have been checked
   */
  forgetReached(): boolean {
    const failures = [
      ...failuresOf(this.#ends, ([event, whenOver]) => this.#forgetIfReached(event, whenOver)),
      ...failuresOf(this.#leaving, ([stream, whenOver]) => this.#leave(stream, whenOver)),
    ]
    if (failures.length > 0) throw failures[0]
    return this.#ends.size + this.#leaving.size === 0
  }

  /** A failed query of a destroyed stream must not fail a check of all streams. @throws DeviceLostError */
  look(): void {
    try {
      this.forgetReached()
    } catch (error) {
      if (this.#context.isLost) throw error
    }
  }

  #forgetIfReached(event: EventHandle, whenOver: WhenOver): void {
    if (!hasPassed(this.#context, event)) return
    this.#ends.delete(event)
    ledger().locked(() => this.#context.holding.change(event, "event"))
    this.#events.release(event)
    whenOver?.()
  }

  /** Blocks until the work of destroyed streams is over, except captured ones. @returns whether none is left */
  synchronize(): boolean {
    this.look()
    for (const event of this.#ends.keys()) {
      const status = this.#context.calls.cuEventSynchronize(event)
      if (status !== SUCCESS) this.#context.retry(status, "cuEventSynchronize", event)
    }
    return this.forgetReached()
  }
}

/** The few entries that were not checked for the longest time, so that the cost does not grow with their number. */
function nextFew<T>(waiting: Map<number, T>): [number, T][] {
  const turn: [number, T][] = []
  for (const one of waiting) if (turn.push(one) === LOOKS) break
  for (const [key, value] of turn) {
    waiting.delete(key)
    waiting.set(key, value)
  }
  return turn
}

/** Visits all, and returns what was thrown. */
function failuresOf<T>(all: Iterable<T>, visit: (one: T) => void): unknown[] {
  const failures: unknown[] = []
  for (const one of all) {
    try {
      visit(one)
    } catch (error) {
      failures.push(error)
    }
  }
  return failures
}
