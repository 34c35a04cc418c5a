import type { Device } from "./device.js"
import { warnOnce } from "../../common/warn.js"
import { isDone as isStreamDone } from "../order/synchronize.js"
import type { Stream } from "./stream.js"

/** The largest number of streams. If all are in use, calls share them. */
const most = 128
/** The number of idle streams that the pool keeps. */
const keptIdle = 8
/** The number of streams that one call may query. */
const looksPerCall = 2

/**
 * The streams for forks that name none. Each call leases its streams until its join.
 *
 * Independent callers must neither wait for nor break each other. So a call gets a stream whose work its own stream has
 * already joined, such as the one of its previous call; otherwise an idle stream; otherwise a new one.
 */
export class StreamPool {
  readonly #device: Device
  readonly #all = new Set<Stream>()
  /** Returned streams that are not known to be idle, in the order in which they were returned. */
  readonly #pending: Stream[] = []
  /** Returned streams that are idle. */
  readonly #idle: Stream[] = []
  /** For each stream that several calls use at a time, how many beyond the first. */
  readonly #shared = new Map<Stream, number>()
  /** The index of the pending stream to query next. */
  #cursor = 0
  #made = 0

  constructor(device: Device) {
    this.#device = device
  }

  /** Leases a stream that is not the call's current one. {@link release} must be called for it. */
  acquire(call: PoolLease): Stream {
    const { current } = call
    const stream = this.#acquireJoined(current) ?? this.#acquireIdle(current) ?? this.#acquireDone(call)
    if (stream === undefined) return this.#shareOrMake(current)
    stream.state.order.observer?.leased(stream.state)
    return stream
  }

  /** The latest pending stream that the current stream has joined, so that all layers of a model use the same stream. */
  #acquireJoined(current: Stream): Stream | undefined {
    for (let index = this.#pending.length - 1; index >= 0; index--) {
      const stream = this.#pending[index]
      if (stream === undefined || !isFree(stream, current) || !current.state.hasJoined(stream.state)) continue
      this.#pending.splice(index, 1)
      if (this.#isFit(stream)) return stream
    }
    return undefined
  }

  #acquireIdle(current: Stream): Stream | undefined {
    for (let index = this.#idle.length - 1; index >= 0; index--) {
      const stream = this.#idle[index]
      if (stream === undefined || !isFree(stream, current)) continue
      this.#idle.splice(index, 1)
      if (this.#isFit(stream)) return stream
    }
    return undefined
  }

  #acquireDone(call: PoolLease): Stream | undefined {
    for (let count = Math.min(call.looks, this.#pending.length); count > 0; count--) {
      const stream = this.#look(call)
      if (stream !== undefined) return stream
    }
    return undefined
  }

  /** Queries the next pending stream, and removes and returns it if it is idle. */
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

  /** Whether the stream can be leased. A broken or disposed one is removed from the pool. */
  #isFit(stream: Stream): boolean {
    if (isUsable(stream)) return true
    this.#end(stream)
    return false
  }

  #end(stream: Stream): void {
    this.#all.delete(stream)
    this.#device.streams.dispose(stream)
  }

  /** Destroys idle streams beyond the number that is kept, within the call's number of queries. */
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
        `More than ${most} functions run side by side on ${this.#device.id}, so some share a stream and wait for each ` +
          "other. Join forks earlier, or limit how many requests run at a time.",
        "AUX_POOL_SHARED",
      )
      for (const stream of this.#all) if (isFree(stream, current) && isUsable(stream)) return this.#share(stream)
    }
    const stream = this.#device.streams.make(0, `pool stream ${++this.#made}`)
    this.#all.add(stream)
    return stream
  }

  #share(stream: Stream): Stream {
    // Move it to the end, so that calls share all streams evenly.
    this.#all.delete(stream)
    this.#all.add(stream)
    const index = this.#pending.indexOf(stream)
    if (index >= 0) this.#pending.splice(index, 1)
    else this.#shared.set(stream, (this.#shared.get(stream) ?? 0) + 1)
    return stream
  }

  /** Ends a lease of the stream, and frees its cuBLAS workspace in the stream's order. */
  release(stream: Stream): void {
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

/** The streams that one call has leased. */
export class PoolLease {
  readonly current: Stream
  /** The number of streams that the call may still query. */
  looks = looksPerCall
  readonly #pool: StreamPool
  #streams: Stream[] = []

  /** @param current the stream from which the call forks */
  constructor(current: Stream) {
    this.current = current
    this.#pool = current.device.pool
  }

  /** Leases a stream that is not the current one, until {@link end}. */
  acquire(): Stream {
    const stream = this.#pool.acquire(this)
    this.#streams.push(stream)
    this.#pool.trim(this)
    return stream
  }

  /** Returns all streams: the call's work has been joined, or never will be. */
  end(): void {
    for (const stream of this.#streams) this.#pool.release(stream)
    this.#streams = []
  }
}

/** Whether the call may use the stream. A stream that is part of a capture is for that capture only. */
function isFree(stream: Stream, current: Stream): boolean {
  const { capture } = stream.state
  return stream !== current && (capture === undefined || capture === current.state.capture)
}

function isUsable(stream: Stream): boolean {
  return !stream.disposed && stream.state.failure === undefined
}

/** Whether all work of the stream is done. Inside a capture, and for a stream in a capture, the driver must not be asked. */
function isDone(stream: Stream, current: Stream): boolean {
  const { state } = stream
  const { order } = state
  if (stream.disposed || state.capture !== undefined) return false
  if (state.isKnownDone) return true
  if (current.state.capture !== undefined || (state.shared && order.isCapturedByOthers(state))) return false
  return isStreamDone(state)
}
