/**
 * One call of a measurement. It marks the stream before and after the call, and notes what the thread did. If the program
 * did nothing on the stream since the end of the latest call, that end is this call's beginning.
 */
import { now } from "../../common/timers.js"
import type { DeviceOrder } from "../../runtime/order/device-order.js"
import type { OverlapMode, OverlapOutcome, OverlapSample } from "../../runtime/order/policy/overlap-policy.js"
import type { StreamState } from "../../runtime/order/stream-state.js"
import type { Mark, Marks } from "./marks.js"
import type { Gap, Timing } from "../measurement/rule.js"
import type { Slot } from "../measurement/stage.js"

/** What a sample needs of its sampler. */
export interface Sampling {
  readonly marks: Marks
  /** Called before a call. @returns the latest call that was marked in this turn of the event loop */
  begin(): CallSample | undefined
  /** Called directly before the call itself. */
  began(sample: CallSample): void
  /** Called directly after the call itself. */
  ended(): void
  /** The next call follows this one; undefined if the end could not be marked. */
  setLatest(sample: CallSample | undefined): void
  /** The call's times are to be read. */
  add(sample: CallSample): void
}

/** Learns what became of a measured call. */
export interface SampleSink {
  /** The call has ended. If it counts and is timed, its time follows later. */
  ended(counts: boolean, outcome: OverlapOutcome): void
  /** The call launched a kernel that must not run beside others. */
  wasResident(): void
  timed(timing: Timing): void
  /** The time of a call that counted cannot be had. */
  lost(): void
}

/** See the head of this file. */
export class CallSample implements OverlapSample {
  readonly #sampling: Sampling
  readonly #main: StreamState
  readonly #sink: SampleSink
  readonly #mode: OverlapMode
  readonly #isTimed: boolean
  #counts = false
  /** The end of the call before, if this call is the next one in the same mode. */
  #before: Mark | undefined
  #start: Mark | undefined
  #end: Mark | undefined
  /** What passed since the end of the call before, except on the stream. */
  #gap: Omit<Gap, "stream"> | undefined
  #loads = 0
  #residents = 0
  /** Times of the thread: when the call began and ended. In milliseconds. */
  #began = 0
  #ended = 0
  /** What measuring took of the thread's time: after the call. */
  #after = 0
  /** How often the program had waited when the call ended, and the stream's place then. */
  #waits = 0
  #tick = 0
  #joined: object | undefined

  constructor(sampling: Sampling, main: StreamState, { mode, isTimed }: Slot, sink: SampleSink) {
    this.#sampling = sampling
    this.#main = main
    this.#mode = mode
    this.#isTimed = isTimed
    this.#sink = sink
  }

  begin(others: readonly StreamState[]): void {
    const entered = now()
    const { order } = this.#main
    const latest = this.#sampling.begin()
    const starved = this.#isTimed && isAlone(this.#main, others) ? this.#follow(latest, entered) : false
    this.#loads = loadsOf(order)
    this.#residents = order.residentLaunches
    this.#sampling.began(this)
    this.#began = now()
    if (latest === undefined || this.#before === undefined) return
    const own = (latest.#after + this.#began - entered) * 1e3
    this.#gap = { thread: (this.#began - latest.#ended) * 1e3, own, starved }
  }

  /** Marks the beginning. @returns whether the stream was found idle */
  #follow(latest: CallSample | undefined, entered: number): boolean {
    const main = this.#main
    const follows = latest !== undefined && latest.#isFollowedBy(main)
    const isNext = follows && latest.#mode === this.#mode
    // Only if the thread was busy with other things, it matters whether the stream waited for it.
    const starved = isNext && entered - latest.#ended - latest.#after > latest.#ended - latest.#began && isIdle(main)
    this.#start = follows && latest.#isDirectlyBefore(main) ? share(latest.#end) : this.#record()
    this.#counts = this.#start !== undefined
    if (isNext && this.#counts) this.#before = share(latest.#end)
    return starved
  }

  #record(): Mark | undefined {
    return this.#sampling.marks.record(this.#main.handle)
  }

  /** Whether the program has not waited since the end of this call, and uses the same stream. */
  #isFollowedBy(main: StreamState): boolean {
    return main === this.#main && !main.shared && main.order.waits === this.#waits
  }

  /** Whether nothing was queued on the stream since the end of this call. */
  #isDirectlyBefore(main: StreamState): boolean {
    return main.tick === this.#tick && main.joined === this.#joined
  }

  end(outcome: OverlapOutcome): void {
    this.#ended = now()
    const sampling = this.#sampling
    const main = this.#main
    const { order } = main
    sampling.ended()
    const canMark = outcome === "done" && !main.disposed && order.capturing === 0
    this.#end = canMark && (this.#counts || !main.shared) ? this.#record() : undefined
    const counts = this.#counts && this.#end !== undefined && loadsOf(order) === this.#loads
    this.#waits = order.waits
    this.#tick = main.tick
    this.#joined = main.joined
    sampling.setLatest(share(this.#end) === undefined ? undefined : this)
    if (counts) sampling.add(this)
    else this.#release()
    this.#sink.ended(counts, outcome)
    if (order.residentLaunches !== this.#residents) this.#sink.wasResident()
    this.#after = now() - this.#ended
  }

  /** @returns false if the call is not over */
  read(): boolean {
    const { marks } = this.#sampling
    let timing: Timing | undefined
    if (this.#end !== undefined && !this.#main.order.closed) {
      try {
        if (!marks.isPassed(this.#end)) return false
        timing = this.#timing(this.#end)
      } catch {
        // The stream broke, or the device is lost.
      }
    }
    this.#release()
    if (timing === undefined || !(timing.elapsed >= 0)) this.#sink.lost()
    else this.#sink.timed(timing)
    return true
  }

  #timing(end: Mark): Timing | undefined {
    if (this.#start === undefined) return undefined
    const { marks } = this.#sampling
    const stream = this.#before === undefined ? 0 : marks.between(this.#before, this.#start)
    return {
      elapsed: marks.between(this.#start, end),
      host: (this.#ended - this.#began) * 1e3,
      gap: this.#gap && { ...this.#gap, stream },
    }
  }

  #release(): void {
    const { marks } = this.#sampling
    marks.release(this.#before)
    marks.release(this.#start)
    marks.release(this.#end)
  }

  /** The next call is there: it does not follow this one any more. */
  passOn(): void {
    this.#sampling.marks.release(this.#end)
  }
}

/** Adds a user to a mark. */
function share(mark: Mark | undefined): Mark | undefined {
  if (mark !== undefined) mark.users += 1
  return mark
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

function isIdle(main: StreamState): boolean {
  try {
    return main.order.driver.streams.query(main.handle)
  } catch {
    return false
  }
}
