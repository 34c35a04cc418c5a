/**
 * The other devices in the same CUDA context: those of other threads, and those of this thread that are being closed. Their
 * streams must only be queried under the ledger's lock, because their threads destroy streams under it.
 */
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { CudaContext } from "../api/context.js"
import { type EventPool, hasPassed } from "../stream/event-pool.js"
import { ledger } from "../ledger/ledger.js"
import type { LedgerRecord } from "../ledger/record.js"
import { NOT_READY, SUCCESS } from "../api/status.js"

/** Marks after everything that the neighbours had queued at one time. */
export interface Marks {
  areOver(): boolean
  /** The marks are no longer needed. */
  forget(): void
}

/** The neighbours of one device. */
export class Neighbours {
  readonly #context: CudaContext
  readonly #events: EventPool
  /** Marks that are no longer needed, but may not be complete. */
  readonly #forgotten = new Set<EventHandle>()

  constructor(context: CudaContext, events: EventPool) {
    this.#context = context
    this.#events = events
  }

  /** Whether everything they have queued is over. */
  areIdle(): boolean {
    return ledger().locked(() => this.#records().every((record) => isIdle(this.#context, record)))
  }

  /** Marks what they have queued so far. They may go on queueing. */
  mark(): Marks {
    const marks = new Set<EventHandle>()
    const ends = new Set<EventHandle>()
    ledger().locked(() => {
      for (const record of this.#records()) {
        for (const end of record.owned("end")) ends.add(end)
        for (const stream of streamsOf(record)) this.#mark(stream, marks)
      }
    })
    return {
      areOver: () => this.#arePassed(marks) && (ends.size === 0 || this.#haveEnded(ends)),
      forget: () => {
        for (const mark of marks) this.#forgotten.add(mark)
        marks.clear()
      },
    }
  }

  #mark(stream: StreamHandle, marks: Set<EventHandle>): void {
    if (isIdleStream(this.#context, stream) || isCapturing(this.#context, stream)) return
    try {
      marks.add(this.#events.record(stream))
    } catch (error) {
      if (this.#context.isLost) throw error
    }
  }

  #arePassed(marks: Set<EventHandle>): boolean {
    for (const set of [marks, this.#forgotten]) {
      for (const mark of set) if (hasPassed(this.#context, mark) && set.delete(mark)) this.#events.release(mark)
    }
    return marks.size === 0
  }

  #haveEnded(ends: ReadonlySet<EventHandle>): boolean {
    return ledger().locked(() => {
      const pending = this.#records().flatMap((record) => record.owned("end"))
      return pending.every((end) => !ends.has(end) || isPassed(this.#context, end))
    })
  }

  #records(): LedgerRecord[] {
    const { handle, holding } = this.#context
    return ledger()
      .records(handle)
      .filter(({ address }) => address !== holding.address)
  }

  close(): void {
    for (const mark of this.#forgotten) this.#events.release(mark)
    this.#forgotten.clear()
  }
}

/**
 * Whether everything that a record's device queued is over. Ignores captured streams. Must be called under the ledger's
 * lock.
 */
export function isIdle(context: CudaContext, record: LedgerRecord): boolean {
  return (
    record.owned("end").every((end) => isPassed(context, end)) &&
    streamsOf(record).every((stream) => isIdleStream(context, stream))
  )
}

function streamsOf(record: LedgerRecord): StreamHandle[] {
  // Once the adopting thread has ended, the owner may have destroyed the stream.
  return record.isOpen ? [...record.owned("stream"), ...record.owned("adopted")] : record.owned("stream")
}

/** Calls the driver directly, because errors of another device's streams must not be reported here. */
function isIdleStream(context: CudaContext, stream: StreamHandle): boolean {
  return !isCapturing(context, stream) && context.calls.cuStreamQuery(stream) !== NOT_READY
}

function isCapturing(context: CudaContext, stream: StreamHandle): boolean {
  const status = context.calls.cuStreamIsCapturing(stream, context.out.address)
  return status === SUCCESS && context.out.int(0) !== 0
}

function isPassed(context: CudaContext, event: EventHandle): boolean {
  return context.calls.cuEventQuery(event) !== NOT_READY
}
