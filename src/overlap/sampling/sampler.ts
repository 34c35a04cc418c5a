/**
 * Times calls on one device: records pooled timing events around a call, and reads them in batches later. It must never
 * wait for the device, and never read inside a call that is being timed.
 *
 * Its records are no part of the program's order: they change no clock, and observers do not see them.
 */
import { now, setImmediate } from "../../common/timers.js"
import type { DeviceOrder } from "../../runtime/order/device-order.js"
import type { OverlapSample } from "../../runtime/order/policy/overlap-policy.js"
import type { StreamState } from "../../runtime/order/stream-state.js"
import { CallSample, type SampleSink, type Sampling } from "./call-sample.js"
import { Marks } from "./marks.js"
import type { Slot } from "../measurement/stage.js"

/** Without turns of the event loop, times are read before a measured call once so many are waiting. */
const BATCH = 8
/** So many queries of one batch may find a call not over yet. */
const MOST_UNFINISHED = 4

/** What all samples of a device cost so far. */
export interface SamplingCost {
  /** How many times were read, and how long that took in microseconds. */
  reads: number
  readTime: number
}

const samplers = new WeakMap<DeviceOrder, Sampler>()

/** The call of this thread that is being timed. At most one is: it is synchronous, and calls inside it are not timed. */
let open: OverlapSample | undefined

/** Whether the calling code runs inside a call that is being timed. */
export function isSampling(): boolean {
  return open !== undefined
}

/** See the head of this file. All policies share the sampler of a device. */
export class Sampler implements Sampling {
  readonly order: DeviceOrder
  readonly marks: Marks
  readonly cost: SamplingCost = { reads: 0, readTime: 0 }
  /** Calls that have ended and whose times are not known, the oldest first. */
  #waiting: CallSample[] = []
  /** The latest call whose end is marked, unless another turn of the event loop has begun since. */
  #latest: CallSample | undefined
  #willRead = false

  constructor(order: DeviceOrder) {
    this.order = order
    this.marks = new Marks(order.driver.events)
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
  sample(main: StreamState, slot: Slot, sink: SampleSink): OverlapSample {
    return new CallSample(this, main, slot, sink)
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
      if (unfinished > MOST_UNFINISHED || !sample.read()) {
        unfinished += 1
        left.push(sample)
      }
    }
    this.#waiting = left
    this.cost.reads += waiting.length - left.length
    this.cost.readTime += (now() - start) * 1e3
  }

  /** @internal */
  begin(): CallSample | undefined {
    if (this.#waiting.length >= BATCH) this.read()
    return this.#latest
  }

  /** @internal */
  began(sample: OverlapSample): void {
    open = sample
  }

  /** @internal */
  ended(): void {
    open = undefined
  }

  /** @internal */
  add(sample: CallSample): void {
    this.#waiting.push(sample)
  }

  /** @internal */
  setLatest(sample: CallSample | undefined): void {
    this.#latest?.passOn()
    this.#latest = sample
    if (this.#willRead || sample === undefined) return
    this.#willRead = true
    // It must not keep the process alive: nothing waits for it.
    setImmediate(() => {
      this.#willRead = false
      // Between turns of the event loop a program may rest, so the time until the next call says nothing.
      this.setLatest(undefined)
      this.read()
    }).unref()
  }
}
