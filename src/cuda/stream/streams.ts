/**
 * The streams of one device: own ones, and adopted ones of other libraries. A stream in a capture must never be queried.
 */
import { AuxstreamError } from "../../common/errors.js"
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { Captures } from "./captures.js"
import type { CudaContext } from "../api/context.js"
import { type EventPool, hasPassed } from "./event-pool.js"
import { StreamEnds, type WhenOver } from "./stream-ends.js"
import { ledger } from "../ledger/ledger.js"
import { NOT_READY, SUCCESS } from "../api/status.js"

const NON_BLOCKING = 1
/** NULL, CU_STREAM_LEGACY and CU_STREAM_PER_THREAD: aliases of default streams, which depend on the calling thread. */
const SPECIAL_HANDLES = 2n
const ADDRESS_LIMIT = 2n ** 53n

/** The streams of one device. */
export class Streams {
  readonly #context: CudaContext
  readonly #captures: Captures
  /** Those that were destroyed. */
  readonly ends: StreamEnds
  readonly #own = new Set<StreamHandle>()
  /** How many streams may exist at once without making CUDA wait, as reserved so far. */
  #ready = 0
  /** Foreign streams that we queue on. */
  readonly #adopted = new Set<StreamHandle>()
  /** For streams in a capture of this library: the event after their earlier work. */
  readonly #beforeCapture = new Map<StreamHandle, EventHandle>()

  constructor(context: CudaContext, captures: Captures, events: EventPool) {
    this.#context = context
    this.#captures = captures
    this.ends = new StreamEnds(context, captures, events)
  }

  /** @throws CudaError */
  create(priority: number): StreamHandle {
    const context = this.#context
    const { status, handle: stream } = context.holding.make("stream", (out) =>
      context.within(() =>
        context.room.for(() => context.calls.cuStreamCreateWithPriority(out, NON_BLOCKING, priority)),
      ),
    )
    context.check(status, "cuStreamCreateWithPriority")
    this.#own.add(stream)
    return stream
  }

  get ready(): number {
    return this.#ready
  }

  /**
   * Creates streams until there are `count`, then destroys the new ones, for which CUDA keeps its resources. CUDA creates
   * these resources for some 40 streams at a time, and waits for the device to be idle then (measured on an H200, driver
   * 580).
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
   * Never blocks, cancels nothing, never throws. `whenOver` is called once the stream's work is known to be over. An
   * adopted stream is only released: its owner destroys it.
   */
  destroy(stream: StreamHandle, whenOver?: WhenOver): void {
    this.#beforeCapture.delete(stream)
    if (this.#adopted.delete(stream)) return this.#releaseAdopted(stream, whenOver)
    if (!this.#own.delete(stream) || this.#context.isLost) return
    this.ends.add(stream, whenOver)
  }

  /** Work queued on a foreign stream continues: its end is marked, unless the owner captures the stream now. */
  #releaseAdopted(stream: StreamHandle, whenOver: WhenOver): void {
    if (this.#context.isLost) return
    ledger().locked(() => {
      this.ends.addAdopted(stream, whenOver)
      if (!this.#own.has(stream)) this.#context.holding.remove(stream)
    })
    this.#captures.foreign.forgetStream(stream)
  }

  /** @throws AuxstreamError AUX_INVALID_ARGUMENT for CUDA's default streams, AUX_DEVICE_MISMATCH for another context's */
  adopt(foreign: bigint): StreamHandle {
    if (foreign <= SPECIAL_HANDLES || foreign >= ADDRESS_LIMIT) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `Stream ${foreign} cannot be adopted: 0, 1 and 2 are CUDA's default streams, which implicitly synchronize with ` +
          "other streams. Give the handle of a stream that was created.",
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
      `Stream ${foreign} does not belong to the primary context of ${context.label}. Open the device that it was created ` +
        "on, or create it in the primary context.",
    )
  }

  /** @throws DeviceLostError, CudaError */
  priorityOf(stream: StreamHandle): number {
    const { calls, out } = this.#context
    const status = calls.cuStreamGetPriority(stream, out.address)
    if (status !== SUCCESS) this.#context.retry(status, "cuStreamGetPriority", stream, out.address)
    return out.int(0)
  }

  /** Whether everything queued so far is done. @throws DeviceLostError, CudaError */
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
   * Whether everything is over that was queued on own and adopted streams. For a captured stream, only its work from before
   * the capture counts.
   *
   * @throws DeviceLostError
   */
  areIdle(): boolean {
    this.ends.look()
    if (!this.ends.areReached) return false
    for (const stream of this.#own) if (!this.#isOver(stream)) return false
    for (const stream of this.#adopted) if (!this.#isAdoptedOver(stream)) return false
    return true
  }

  #isOver(stream: StreamHandle): boolean {
    if (!this.isInAnyCapture(stream)) return this.isIdle(stream)
    const before = this.#beforeCapture.get(stream)
    return before === undefined || hasPassed(this.#context, before)
  }

  /** The owner may have broken or destroyed an adopted stream. That must not fail a check of all streams. */
  #isAdoptedOver(stream: StreamHandle): boolean {
    try {
      return this.#isOver(stream)
    } catch (error) {
      if (this.#context.isLost) throw error
      return true
    }
  }

  /**
   * The stream is about to wait for an event while a capture is open, and may become part of the capture by that. If it
   * does, the runtime has just recorded an event after its earlier work.
   */
  mayEnterCapture(stream: StreamHandle): void {
    const { lastEvent, lastStream } = this.#context
    if (lastEvent === undefined || lastStream !== stream || this.isInAnyCapture(stream)) return
    this.#beforeCapture.set(stream, lastEvent)
  }

  destroyAll(): void {
    this.#adopted.clear()
    for (const stream of this.#own) this.destroy(stream)
  }
}
