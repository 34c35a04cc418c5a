import type { Device } from "./device.js"
import { warnOnce } from "../../common/warn.js"
import type { Stream } from "./stream.js"

/** How many streams the pool has at most. Beyond, calls share them. */
const most = 128
/** How many streams the pool keeps that have nothing to do. */
const keptIdle = 8
/** How many streams a call asks whether they are done, at most. */
const looksPerCall = 2

/**
 * The streams that forks run on if none is named, leased for the time of one call.
 *
 * Callers that know nothing of each other must neither wait for nor break each other. So a call gets a stream that its
 * own stream is ordered behind already, such as the one that its last call used; else an idle one; else a new one.
 */
export class StreamPool {
  readonly #device: Device
  readonly #all = new Set<Stream>()
  /** Given back, and not known to be done; the one given back last comes last. */
  readonly #pending: Stream[] = []
  /** Known to be done. */
  readonly #idle: Stream[] = []
  /** Of streams that several calls use at once: how many more than one. */
  readonly #shared = new Map<Stream, number>()
  /** Where among the pending streams the next look is. */
  #cursor = 0
  #made = 0

  constructor(device: Device) {
    this.#device = device
  }

  /** A stream that is not the current one of the call that it is for. Must be given back. */
  take(call: PoolLease): Stream {
    const { current } = call
    return this.#takeNewest(current) ?? this.#takeIdle(current) ?? this.#takeDone(call) ?? this.#shareOrMake(current)
  }

  /** The newest that the current stream is ordered behind: a model's layers run on one and the same stream. */
  #takeNewest(current: Stream): Stream | undefined {
    for (let index = this.#pending.length - 1; index >= 0; index--) {
      const stream = this.#pending[index]
      if (stream === undefined || !isFree(stream, current) || !current.state.hasJoined(stream.state)) continue
      this.#pending.splice(index, 1)
      if (this.#isFit(stream)) return stream
    }
    return undefined
  }

  #takeIdle(current: Stream): Stream | undefined {
    for (let index = this.#idle.length - 1; index >= 0; index--) {
      const stream = this.#idle[index]
      if (stream === undefined || !isFree(stream, current)) continue
      this.#idle.splice(index, 1)
      if (this.#isFit(stream)) return stream
    }
    return undefined
  }

  #takeDone(call: PoolLease): Stream | undefined {
    for (let count = Math.min(call.looks, this.#pending.length); count > 0; count--) {
      const stream = this.#look(call)
      if (stream !== undefined) return stream
    }
    return undefined
  }

  /** Looks at the next pending stream, and takes it out if it is done. */
  #look(call: PoolLease): Stream | undefined {
    call.looks -= 1
    if (this.#cursor >= this.#pending.length) this.#cursor = 0
    const stream = this.#pending[this.#cursor]
    if (stream === undefined) return undefined
    if (!isDone(stream, call.current) && isUsable(stream)) {
      this.#cursor += 1
      return undefined
    }
    this.#pending.splice(this.#cursor, 1)
    return this.#isFit(stream) ? stream : undefined
  }

  /** Can it be forked onto? A broken stream never comes back. */
  #isFit(stream: Stream): boolean {
    if (isUsable(stream)) return true
    this.#end(stream)
    return false
  }

  #end(stream: Stream): void {
    this.#all.delete(stream)
    this.#device.disposeStream(stream)
  }

  /** Ends the oldest of more idle streams than are kept, as far as the call's looks find any. */
  trim(call: PoolLease): void {
    while (call.looks > 0 && this.#pending.length > 0 && this.#pending.length + this.#idle.length > keptIdle) {
      const stream = this.#look(call)
      if (stream !== undefined) this.#idle.push(stream)
      const oldest = this.#idle.length > keptIdle ? this.#idle.shift() : undefined
      if (oldest !== undefined) this.#end(oldest)
    }
  }

  #shareOrMake(current: Stream): Stream {
    if (this.#all.size >= most) {
      warnOnce(
        "shared pool",
        `More than ${most} functions run beside others on ${this.#device.id}: some now share a stream and wait for each ` +
          "other. Join forks earlier, or limit how many requests run at once.",
        "AUX_POOL_SHARED",
      )
      for (const stream of this.#all) if (isFree(stream, current) && isUsable(stream)) return this.#share(stream)
    }
    const stream = this.#device.makeStream(0, `pool stream ${++this.#made}`)
    this.#all.add(stream)
    return stream
  }

  #share(stream: Stream): Stream {
    // Goes to the end, so that calls share all streams alike.
    this.#all.delete(stream)
    this.#all.add(stream)
    const index = this.#pending.indexOf(stream)
    if (index >= 0) this.#pending.splice(index, 1)
    else this.#shared.set(stream, (this.#shared.get(stream) ?? 0) + 1)
    return stream
  }

  /** The scratch memory of the lease's library calls is freed in the stream's order. */
  giveBack(stream: Stream): void {
    stream.state.order.freeWorkspace(stream.state)
    const others = this.#shared.get(stream)
    if (others === undefined) return void this.#pending.push(stream)
    if (others === 1) this.#shared.delete(stream)
    else this.#shared.set(stream, others - 1)
  }

  close(): void {
    for (const stream of this.#all) this.#end(stream)
    this.#shared.clear()
    this.#pending.length = 0
    this.#idle.length = 0
  }
}

/** The streams of one call, leased together. */
export class PoolLease {
  readonly current: Stream
  /** How many streams the call may still ask whether they are done. */
  looks = looksPerCall
  readonly #pool: StreamPool
  readonly #streams: Stream[] = []

  /** @param current the stream that the call forks from */
  constructor(current: Stream) {
    this.current = current
    this.#pool = current.device.pool
  }

  /** A stream that is not the current one, for as long as the lease lasts. */
  take(): Stream {
    const stream = this.#pool.take(this)
    this.#streams.push(stream)
    this.#pool.trim(this)
    return stream
  }

  /** The call's work is joined, or never will be. */
  end(): void {
    for (const stream of this.#streams) this.#pool.giveBack(stream)
    this.#streams.length = 0
  }
}

/** A stream that takes part in a capture belongs to that alone. */
function isFree(stream: Stream, current: Stream): boolean {
  const { capture } = stream.state
  return stream !== current && (capture === undefined || capture === current.state.capture)
}

function isUsable(stream: Stream): boolean {
  return !stream.disposed && stream.state.failure === undefined
}

/** Is all of its work done? In a capture the driver must not be asked, nor about a stream in one. */
function isDone(stream: Stream, current: Stream): boolean {
  const { state } = stream
  const { order } = state
  if (stream.disposed || state.capture !== undefined) return false
  if (state.isKnownDone) return true
  if (current.state.capture !== undefined || (state.shared && order.isCapturedByOthers(state))) return false
  return order.isDone(state)
}
