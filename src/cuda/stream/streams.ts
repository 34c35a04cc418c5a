/** Streams, and the ends of those that were destroyed while work was queued on them. */
import { AuxstreamError } from "../../common/errors.js"
import type { EventHandle, StreamHandle } from "../../driver.js"
import type { Captures } from "./captures.js"
import type { CudaContext } from "../api/context.js"
import { type EventPool, hasPassed } from "./events.js"
import { ledger } from "../api/ledger.js"
import { NOT_READY, SUCCESS } from "../api/status.js"

const NON_BLOCKING = 1
/** NULL, CU_STREAM_LEGACY and CU_STREAM_PER_THREAD: names of streams that depend on who asks, not streams. */
const SPECIAL_HANDLES = 2n
const ADDRESS_LIMIT = 2n ** 53n
/** How many ends, and streams that could not be destroyed, are looked at whenever one is destroyed. */
const LOOKS = 4

type WhenOver = (() => void) | undefined

/** The streams of one device. */
export class Streams {
  readonly #context: CudaContext
  readonly #captures: Captures
  readonly #events: EventPool
  readonly #own = new Set<StreamHandle>()
  /** How many streams there may be at once without making CUDA wait, as far as they were reserved. */
  #ready = 0
  /** Other libraries' streams that we queue on. */
  readonly #adopted = new Set<StreamHandle>()
  /** Of streams that came into a capture of ours: the event behind what they had queued. */
  readonly #beforeCapture = new Map<StreamHandle, EventHandle>()
  /**
   * To be destroyed when their ends can be marked: once who captures them has ended that, or a call that failed works.
   * With them, who wants to know when their work is over.
   */
  readonly #leaving = new Map<StreamHandle, WhenOver>()
  /** An event behind the last work of each destroyed stream, while that work may be going on, and who wants to know. */
  readonly #ends = new Map<EventHandle, WhenOver>()

  constructor(context: CudaContext, captures: Captures, events: EventPool) {
    this.#context = context
    this.#captures = captures
    this.#events = events
  }

  /** @throws CudaError */
  create(priority: number): StreamHandle {
    const context = this.#context
    const stream = context.within(() => {
      const { out, room } = context
      const status = room.for(() => context.calls.cuStreamCreateWithPriority(out.address, NON_BLOCKING, priority))
      context.check(status, "cuStreamCreateWithPriority")
      return out.number(0)
    })
    this.#own.add(stream)
    context.holding.add("stream", stream)
    return stream
  }

  get ready(): number {
    return this.#ready
  }

  /**
   * Makes so many streams at once, and destroys those that are too many: CUDA keeps what it made for them. It makes that for
   * some 40 streams at a time, and waits then for all that runs on the device (measured on an H200, driver 580).
   *
   * @throws CudaError
   */
  reserve(count: number): void {
    const made: StreamHandle[] = []
    try {
      while (this.#own.size < count) made.push(this.create(0))
      this.#ready = count
    } finally {
      for (const stream of made) this.destroy(stream)
    }
  }

  /**
   * Never blocks, cancels nothing, never throws. `whenOver` is called once its work is known to be over. A stream that was
   * adopted is let go of: its owner destroys it.
   */
  destroy(stream: StreamHandle, whenOver?: () => void): void {
    this.#beforeCapture.delete(stream)
    if (this.#adopted.delete(stream)) return this.#releaseAdopted(stream, whenOver)
    if (!this.#own.delete(stream) || this.#context.isLost) return
    const leaving = [...nextFew(this.#leaving), [stream, whenOver] as const]
    this.#leaving.set(stream, whenOver)
    // What fails is tried again by whoever looks next.
    failuresOf(nextFew(this.#ends), ([event, over]) => this.#forgetIfReached(event, over))
    failuresOf(leaving, ([one, over]) => this.#leave(one, over))
  }

  /** What was queued on another library's stream goes on: its end is marked, unless that library captures it now. */
  #releaseAdopted(stream: StreamHandle, whenOver: WhenOver): void {
    if (this.#context.isLost) return
    ledger().locked(() => {
      failuresOf([stream], () => {
        if (!this.isInAnyCapture(stream)) this.#markEnd(stream, whenOver)
      })
      if (!this.#own.has(stream)) this.#context.holding.remove(stream)
    })
    this.#captures.foreign.forgetStream(stream)
  }

  #leave(stream: StreamHandle, whenOver: WhenOver): void {
    // To destroy it would spoil the capture, in which nothing tells of what was queued before.
    if (this.isInAnyCapture(stream)) return
    ledger().locked(() => {
      this.#markEnd(stream, whenOver)
      this.#leaving.delete(stream)
      this.#destroy(stream)
    })
    this.#captures.foreign.forgetStream(stream)
  }

  /** Others see the end where they saw the stream. */
  #markEnd(stream: StreamHandle, whenOver: WhenOver): void {
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

  /** @throws AuxstreamError AUX_INVALID_ARGUMENT for CUDA's default streams, AUX_DEVICE_MISMATCH for another context's */
  adopt(foreign: bigint): StreamHandle {
    if (foreign <= SPECIAL_HANDLES || foreign >= ADDRESS_LIMIT) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `${foreign} is not a stream that can be taken in: 0, 1 and 2 are CUDA's default streams, which order other ` +
          "streams behind the caller's back. Give the handle of a stream that was created.",
      )
    }
    const stream = Number(foreign)
    const context = this.#context
    const status = context.calls.cuStreamGetCtx(stream, context.out.address)
    if (status !== SUCCESS) context.retry(status, "cuStreamGetCtx", stream, context.out.address)
    if (context.out.number(0) === context.handle) {
      this.#adopted.add(stream)
      if (!this.#own.has(stream)) context.holding.add("adopted", stream)
      return stream
    }
    throw new AuxstreamError(
      "AUX_DEVICE_MISMATCH",
      `Stream ${foreign} belongs to another context than the primary one of ${context.label}: open the device that it ` +
        "was made on, or make it on the primary context.",
    )
  }

  /** @throws DeviceLostError, CudaError */
  priorityOf(stream: StreamHandle): number {
    const { calls, out } = this.#context
    const status = calls.cuStreamGetPriority(stream, out.address)
    if (status !== SUCCESS) this.#context.retry(status, "cuStreamGetPriority", stream, out.address)
    return out.int(0)
  }

  /** Is everything queued so far done? @throws DeviceLostError, CudaError */
  isIdle(stream: StreamHandle): boolean {
    let status = this.#context.calls.cuStreamQuery(stream)
    if (status === SUCCESS) return true
    if (status !== NOT_READY) status = this.#context.again(status, "cuStreamQuery", stream)
    if (status !== NOT_READY) this.#context.check(status, "cuStreamQuery")
    return status === SUCCESS
  }

  /** See {@link Captures.isInAnyCapture}. */
  isInAnyCapture(stream: StreamHandle): boolean {
    return this.#captures.isInAnyCapture(stream)
  }

  /** Blocks until everything queued so far is done. @throws DeviceLostError, CudaError */
  synchronize(stream: StreamHandle): void {
    const status = this.#context.calls.cuStreamSynchronize(stream)
    if (status !== SUCCESS) this.#context.retry(status, "cuStreamSynchronize", stream)
  }

  /**
   * Has everything ended that was queued on streams of ours, adopted ones included? Of a captured stream, that is what it
   * had queued before the capture.
   *
   * @throws DeviceLostError
   */
  areIdle(): boolean {
    this.#lookAtEnds()
    if (this.#ends.size > 0) return false
    for (const stream of this.#own) if (!this.#isOver(stream)) return false
    for (const stream of this.#adopted) if (!this.#isAdoptedOver(stream)) return false
    return true
  }

  #isOver(stream: StreamHandle): boolean {
    if (!this.isInAnyCapture(stream)) return this.isIdle(stream)
    const before = this.#beforeCapture.get(stream)
    return before === undefined || hasPassed(this.#context, before)
  }

  /** What its owner has done to a stream is no failure of who waits for all. */
  #isAdoptedOver(stream: StreamHandle): boolean {
    try {
      return this.#isOver(stream)
    } catch (error) {
      if (this.#context.isLost) throw error
      return true
    }
  }

  /**
   * The stream waits for something while we capture, which may bring it in. If so, an event has just been recorded behind
   * all that it has queued.
   */
  mayEnterCapture(stream: StreamHandle): void {
    const { lastEvent, lastStream } = this.#context
    if (lastEvent === undefined || lastStream !== stream || this.isInAnyCapture(stream)) return
    this.#beforeCapture.set(stream, lastEvent)
  }

  /**
   * Forgets the ends that have been reached, and marks those of streams that had to wait for it. True if none is left.
   *
   * @throws the first failure, having looked at all
   */
  forgetEnded(): boolean {
    const failures = [
      ...failuresOf(this.#ends, ([event, whenOver]) => this.#forgetIfReached(event, whenOver)),
      ...failuresOf(this.#leaving, ([stream, whenOver]) => this.#leave(stream, whenOver)),
    ]
    if (failures.length > 0) throw failures[0]
    return this.#ends.size + this.#leaving.size === 0
  }

  /** What cannot be told of a stream that was destroyed is no failure of who asks for all. */
  #lookAtEnds(): void {
    try {
      this.forgetEnded()
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

  /** Is nothing waited for but streams that others capture, for who knows how long? */
  get onlyCapturedRemain(): boolean {
    return this.#ends.size === 0 && this.#leaving.size > 0
  }

  /** Blocks until the work of destroyed streams is over, but for those that are captured. True if none is left. */
  synchronizeEnded(): boolean {
    this.#lookAtEnds()
    for (const event of this.#ends.keys()) {
      const status = this.#context.calls.cuEventSynchronize(event)
      if (status !== SUCCESS) this.#context.retry(status, "cuEventSynchronize", event)
    }
    return this.forgetEnded()
  }

  destroyAll(): void {
    this.#adopted.clear()
    for (const stream of this.#own) this.destroy(stream)
  }
}

/** A few, those that were not looked at for longest: thousands cost no more than these. */
function nextFew<T>(waiting: Map<number, T>): [number, T][] {
  const turn: [number, T][] = []
  for (const one of waiting) if (turn.push(one) === LOOKS) break
  for (const [key, value] of turn) {
    waiting.delete(key)
    waiting.set(key, value)
  }
  return turn
}

/** Visits all, and gives what was thrown. */
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
