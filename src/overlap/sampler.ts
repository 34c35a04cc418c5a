/**
 * Times calls on one device: records pooled timing events around a call, and reads them in batches later. It must never
 * wait for the device, and never read inside a call that is being timed.
 *
 * Its records are no part of the program's order: they change no clock, and observers do not see them.
 */
import type { DriverEvents } from "../driver/events.js"
import type { EventHandle } from "../driver/handles.js"
import { now, setImmediate } from "../common/timers.js"
import type { DeviceOrder } from "../runtime/order/device-order.js"
import type { OverlapOutcome, OverlapSample } from "../runtime/order/policy/overlap-policy.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import type { Timing } from "./rule.js"

/** Without turns of the event loop, times are read before a measured call once so many are waiting. */
const BATCH = 8
/** So many queries of one batch may find a call not over yet. */
const MOST_UNFINISHED = 4

/** Learns what became of a measured call. */
export interface SampleSink {
  /** The call has ended. If it counts, its time follows later. */
  ended(counts: boolean, outcome: OverlapOutcome): void
  /** The call launched a kernel that must not run beside others. */
  wasResident(): void
  timed(timing: Timing): void
  /** The time of a call that counted cannot be had. */
  lost(): void
}

/** What all samples of a device cost so far. */
export interface SamplingCost {
  /** How many times were read, and how long that took in microseconds. */
  reads: number
  readTime: number
}

/** Two timing events, before and after a call. */
interface TimingPair {
  readonly start: EventHandle
  readonly end: EventHandle
}

const samplers = new WeakMap<DeviceOrder, Sampler>()

/** The call of this thread that is being timed. At most one is: it is synchronous, and calls inside it are not timed. */
let open: CallSample | undefined

/** Whether the calling code runs inside a call that is being timed. */
export function isSampling(): boolean {
  return open !== undefined
}

/** See the head of this file. All policies share the sampler of a device. */
export class Sampler {
  readonly order: DeviceOrder
  readonly cost: SamplingCost = { reads: 0, readTime: 0 }
  readonly #events: DriverEvents
  readonly #idle: TimingPair[] = []
  /** Calls that have ended and whose times are not known, the oldest first. */
  #waiting: CallSample[] = []
  /** The newest of them, until it is known whether its stream starved after it. */
  #newest: CallSample | undefined
  #willRead = false

  constructor(order: DeviceOrder) {
    this.order = order
    this.#events = order.driver.events
  }

  /** The sampler of a device. */
  static of(order: DeviceOrder): Sampler {
    const known = samplers.get(order)
    if (known !== undefined) return known
    const sampler = new Sampler(order)
    samplers.set(order, sampler)
    return sampler
  }

  /** A measurement of the next call on this stream. */
  sample(main: StreamState, sink: SampleSink): OverlapSample {
    return new CallSample(this, main, sink)
  }

  /** Whether {@link noteCall} has something to do. */
  get awaitsNextCall(): boolean {
    return this.#newest !== undefined
  }

  /** Must be called when a call begins on a stream: shows whether the stream has starved since the last measured call. */
  noteCall(main: StreamState): void {
    if (this.#newest === undefined || open !== undefined) return
    this.#newest.noteNext(main)
    this.#newest = undefined
  }

  /** Reads the times of calls that are over. Does not wait for others. */
  read(): void {
    const waiting = this.#waiting
    // While a capture is open, CUDA's answers about events may be refused, and other captures may be invalidated.
    if (waiting.length === 0 || open !== undefined || this.order.capturing > 0) return
    const start = now()
    let unfinished = 0
    const left: CallSample[] = []
    for (const sample of waiting) {
      if (unfinished > MOST_UNFINISHED || !sample.read(this.#events)) {
        unfinished += 1
        left.push(sample)
      }
    }
    this.#waiting = left
    this.cost.reads += waiting.length - left.length
    this.cost.readTime += (now() - start) * 1e3
  }

  /** @internal Called directly before a call's start is recorded. */
  prepare(): void {
    if (this.#waiting.length >= BATCH) this.read()
  }

  /** @internal @throws what the driver throws if it cannot make an event */
  acquire(): TimingPair {
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    const start = this.#events.create(true)
    try {
      return { start, end: this.#events.create(true) }
    } catch (error) {
      this.#events.destroy(start)
      throw error
    }
  }

  /** @internal The events may be recorded again. */
  release(pair: TimingPair): void {
    this.#idle.push(pair)
  }

  /** @internal The call's times are to be read. */
  add(sample: CallSample): void {
    this.#waiting.push(sample)
    this.#newest = sample
    if (this.#willRead) return
    this.#willRead = true
    // It must not keep the process alive: nothing waits for it.
    setImmediate(() => {
      this.#willRead = false
      // Between turns of the event loop a program may rest, so an idle stream says nothing about the calling thread.
      this.#newest = undefined
      this.read()
    }).unref()
  }
}

/** One measured call. */
class CallSample implements OverlapSample {
  readonly #sampler: Sampler
  readonly #main: StreamState
  readonly #sink: SampleSink
  #counts = false
  /** Undefined if no sample is pending. */
  #events: TimingPair | undefined
  #loads = 0
  #residents = 0
  #began = 0
  #host = 0
  #starved = false

  constructor(sampler: Sampler, main: StreamState, sink: SampleSink) {
    this.#sampler = sampler
    this.#main = main
    this.#sink = sink
  }

  begin(others: readonly StreamState[]): void {
    const sampler = this.#sampler
    const main = this.#main
    sampler.prepare()
    this.#counts = isAlone(main, others)
    if (this.#counts) this.#counts = this.#recordStart()
    this.#loads = loadsOf(main.order)
    this.#residents = main.order.residentLaunches
    open = this
    this.#began = now()
  }

  #recordStart(): boolean {
    const sampler = this.#sampler
    const { events } = this.#main.order.driver
    try {
      this.#events = sampler.acquire()
      events.record(this.#events.start, this.#main.handle)
      return true
    } catch {
      return false // If the call fails the same way, it says so itself.
    }
  }

  end(outcome: OverlapOutcome): void {
    this.#host = (now() - this.#began) * 1e3
    open = undefined
    const main = this.#main
    const recorded = this.#counts && outcome === "done" && this.#recordEnd()
    const counts = recorded && loadsOf(main.order) === this.#loads
    if (counts) this.#sampler.add(this)
    else if (this.#events !== undefined) this.#sampler.release(this.#events)
    this.#sink.ended(counts, outcome)
    if (main.order.residentLaunches !== this.#residents) this.#sink.wasResident()
  }

  #recordEnd(): boolean {
    if (this.#events === undefined) return false
    try {
      this.#main.order.driver.events.record(this.#events.end, this.#main.handle)
      return true
    } catch {
      return false
    }
  }

  /** The next call begins. */
  noteNext(main: StreamState): void {
    this.#starved = main === this.#main && hasStarved(main)
  }

  /** @returns false if the call is not over */
  read(events: DriverEvents): boolean {
    const pair = this.#events
    let elapsed: number | undefined
    if (pair !== undefined && !this.#main.order.closed) {
      try {
        if (!events.query(pair.end)) return false
        elapsed = events.elapsedTime(pair.start, pair.end) * 1e3
      } catch {
        // The stream broke, or the device is lost.
      }
      this.#sampler.release(pair)
    }
    if (elapsed === undefined || !(elapsed >= 0)) this.#sink.lost()
    else this.#sink.timed({ elapsed, host: this.#host, starved: this.#starved })
    return true
  }
}

/**
 * Whether the streams hold no work of strangers, which would be timed, too: everything queued on the other streams happens
 * before the call, and nobody captures the current one.
 */
function isAlone(main: StreamState, others: readonly StreamState[]): boolean {
  const { order } = main
  if (main.disposed || order.capturing > 0) return false
  if (main.shared && order.isCapturedByOthers(main)) return false
  return others.every((other) => other === main || main.isAfterWorkOf(other))
}

/** How often something was compiled or loaded. */
function loadsOf(order: DeviceOrder): number {
  return order.loads + (order.driver.products?.loads ?? 0)
}

/**
 * Whether the stream has nothing to do although the program has not waited for it: the calling thread is slower than the
 * stream. Of a shared stream, this cannot be known.
 */
function hasStarved(main: StreamState): boolean {
  if (main.disposed || main.shared || main.capture !== undefined || main.isKnownDone) return false
  try {
    return main.order.driver.streams.query(main.handle)
  } catch {
    return false
  }
}
