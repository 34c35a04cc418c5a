/**
 * What a policy knows of one key: its measurement, then its decision. It tells each call of the key its mode.
 */
import { currentObserver } from "../runtime/order/observer/observers.js"
import type {
  OverlapEntry,
  OverlapKey,
  OverlapMode,
  OverlapNote,
  OverlapOutcome,
  OverlapPhase,
  OverlapTurn,
} from "../runtime/order/policy/overlap-policy.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import { Decision } from "./decision.js"
import type { Timing } from "./measurement/rule.js"
import type { SampleSink } from "./sampling/call-sample.js"
import { isSampling, Sampler } from "./sampling/sampler.js"
import { Schedule } from "./measurement/schedule.js"
import type { Slot } from "./measurement/stage.js"
import type { StoredDecision } from "./file/stored.js"

/** After an async call, so many calls run unmeasured; and so many after a measurement that failed. */
const PAUSE = { async: 256, failed: 1024 }
/** While times are awaited, every so many calls look for them. */
const LOOK_EVERY = 8

/** What an entry must know of its policy. */
export interface EntryOwner {
  readonly name: string
  /** Whether decisions made now are made again later, because the process's code is not warm yet. */
  readonly isEarly: boolean
  /** Called when the entry has decided, or changed its decision. */
  decided(): void
}

/** See the head of this file. */
export class Entry implements OverlapEntry {
  readonly key: OverlapKey
  /** When it was used last: a count of the policy's lookups. */
  lastUse = 0
  readonly #owner: EntryOwner
  /** Whether a decision is checked later. */
  readonly #isChecked: boolean
  #decision: Decision | undefined
  /** The measurement, or the check. */
  #schedule: Schedule | undefined = Schedule.ofMeasurement()
  /** Whether the schedule checks a decision. */
  #isCheck = false
  /** What a call gets that is not measured. */
  #settled: OverlapTurn
  /** How many calls get that before the next look. */
  #left = 0
  #isEarly = false
  #isFromFile = false
  #isObserved = false
  #isResident = false
  /** When it was decided or checked, unless that was in another process. */
  #time: Date | undefined
  #pause: "async" | "failed" | undefined

  /** @param isChecked false if only the decided mode exists afterwards, as with graphs */
  constructor(owner: EntryOwner, key: OverlapKey, isChecked: boolean, stored?: StoredDecision) {
    this.#owner = owner
    this.key = key
    this.#isChecked = isChecked
    this.#settled = this.#turn("parallel", "unmeasured")
    if (stored === undefined) return
    this.#adopt(Decision.stored(stored), stored.early)
    this.#isFromFile = true
  }

  get decision(): OverlapMode | undefined {
    return this.#isResident ? "sequential" : this.#decision?.mode
  }

  /** Whether a kernel of this key needs the whole device. */
  get isResident(): boolean {
    return this.#isResident
  }

  /** The decision with its evidence. */
  get evidence(): Decision | undefined {
    return this.#decision
  }

  /** Whether it was decided before the process's code was warm. */
  get isEarly(): boolean {
    return this.#isEarly
  }

  /** Whether the decision is another process's, and not checked by this one yet. */
  get isFromFile(): boolean {
    return this.#isFromFile
  }

  /** When this process decided or checked it last. */
  get time(): Date | undefined {
    return this.#time
  }

  /** Whether an observer, such as a trace, slowed down the calls that decided. */
  get isObserved(): boolean {
    return this.#isObserved
  }

  /** Why the key is not measured, if so. */
  get pause(): "async" | "failed" | undefined {
    return this.#pause
  }

  next(main: StreamState): OverlapTurn {
    if (--this.#left > 0) return this.#settled
    return this.#look(main)
  }

  #look(main: StreamState): OverlapTurn {
    this.#left = 0
    if (isSampling() || main.order.capturing > 0) return this.#settled
    const sampler = Sampler.of(main.order)
    if (this.#schedule === undefined) {
      this.#startAgain()
      sampler.read()
    }
    const slot = this.#schedule?.next()
    if (slot === undefined) return this.#await(sampler)
    return {
      ...this.#turn(slot.mode, this.#phaseOf(slot)),
      sample: sampler.sample(main, slot, this.#sinkOf(slot)),
    }
  }

  /** Begins the measurement of a key without a decision, or the check of a decision. */
  #startAgain(): void {
    this.#pause = undefined
    this.#isCheck = this.#decision !== undefined
    if (this.#decision === undefined) this.#schedule = Schedule.ofMeasurement()
    else if (this.#isChecked) this.#schedule = Schedule.ofCheck(this.#decision.mode)
  }

  /** All calls were made; their times are awaited. */
  #await(sampler: Sampler): OverlapTurn {
    sampler.read()
    if (this.#left === 0) this.#left = LOOK_EVERY
    return this.#settled
  }

  #phaseOf(slot: Slot): OverlapPhase {
    if (this.#isCheck) return "checking"
    return slot.part === undefined ? "warm-up" : "measuring"
  }

  #sinkOf(slot: Slot): SampleSink {
    const schedule = this.#schedule
    const ifCurrent = (act: (current: Schedule) => void) => {
      if (schedule !== undefined && schedule === this.#schedule) act(schedule)
    }
    return {
      ended: (counts, outcome) => ifCurrent((current) => this.#ended(current, slot, counts, outcome)),
      timed: (timing) => ifCurrent((current) => this.#timed(current, slot, timing)),
      lost: () => ifCurrent((current) => current.lost(slot)),
      wasResident: () => this.wasResident(),
    }
  }

  #ended(schedule: Schedule, slot: Slot, counts: boolean, outcome: OverlapOutcome): void {
    if (outcome === "async") return this.#rest("async")
    // A call whose time is not wanted may compile and load: that is what it is for.
    if (counts || (outcome === "done" && !slot.isTimed)) schedule.done(slot)
    else schedule.failed(slot)
    if (schedule.isHopeless) this.#rest("failed")
  }

  /** A kernel of this key needs the whole device, so its calls never overlap again. */
  wasResident(): void {
    this.#schedule = undefined
    this.#decision = undefined
    this.#isResident = true
    this.#left = Infinity
    this.#settled = this.#turn("sequential", "decided")
  }

  /** Calls run unmeasured for a while: in parallel, or as decided. */
  #rest(why: "async" | "failed"): void {
    this.#schedule = undefined
    this.#pause = why
    this.#left = PAUSE[why]
    this.#settle()
  }

  #timed(schedule: Schedule, slot: Slot, timing: Timing): void {
    schedule.timed(slot, timing)
    const pairs = schedule.result
    const [pair] = pairs ?? []
    if (pairs === undefined || pair === undefined) return
    if (this.#decision === undefined || !this.#isCheck) {
      // A graph's time hardly depends on how warm the process's code is, and it is not measured again.
      return this.#decide(Decision.from(pairs), this.#isChecked && this.#owner.isEarly)
    }
    this.#decision.check(pair)
    this.#decide(this.#decision, this.#isEarly)
  }

  #decide(decision: Decision, isEarly: boolean): void {
    this.#adopt(decision, isEarly)
    this.#isFromFile = false
    this.#isObserved = currentObserver() !== undefined
    this.#time = new Date()
    this.#owner.decided()
  }

  #adopt(decision: Decision, isEarly: boolean): void {
    this.#decision = decision
    this.#isEarly = isEarly
    this.#schedule = undefined
    this.#left = this.#isChecked ? decision.interval : Infinity
    this.#settle()
  }

  /** Measures anew what was decided early. Until that is done, calls that are not measured run as decided. */
  measureAgain(): void {
    if (!this.#isEarly || !this.#isChecked) return
    this.#schedule = Schedule.ofMeasurement()
    this.#isCheck = false
    this.#left = 0
  }

  /** Begins a measurement or check anew whose times are lost. */
  beginAgain(): void {
    if (this.#schedule === undefined) return
    this.#schedule = this.#isCheck ? undefined : Schedule.ofMeasurement()
    this.#left = 0
  }

  abandon(): void {
    if (this.#decision !== undefined) return
    this.#rest("failed")
  }

  #settle(): void {
    this.#settled = this.#turn(
      this.#decision?.mode ?? "parallel",
      this.#decision === undefined ? "unmeasured" : "decided",
    )
  }

  #turn(mode: OverlapMode, phase: OverlapPhase): OverlapTurn {
    return { mode, note: this.note(phase), sample: undefined }
  }

  note(phase: OverlapPhase): OverlapNote {
    return { name: this.#owner.name, key: this.key, phase }
  }
}
