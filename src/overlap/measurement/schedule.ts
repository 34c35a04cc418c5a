/**
 * Which mode each call of a measurement takes, until there are enough pairs to decide: alternating calls, and then runs if
 * alternation favours the sequential mode. Sequential calls leave threads of the device asleep that parallel ones need. So
 * a parallel call that follows a sequential one may cost more than one in a program that is parallel throughout.
 *
 * Pure: times come from outside, later, in any order. It must end: after {@link MOST_CALLS} calls it has failed.
 */
import type { OverlapMode } from "../../runtime/order/policy/overlap-policy.js"
import { Alternation, otherMode, WARM_UPS } from "./alternation.js"
import { compare, fasterOf, isLargeFor, type Pair, type Timing } from "./rule.js"
import { type Length, Runs } from "./runs.js"
import type { Slot, Stage } from "./stage.js"

/** After so many calls in a row that did not count, the measurement has failed. */
const MOST_FAILURES = 64
/** A measurement that has taken so many calls without a result has failed. */
const MOST_CALLS = 512
/** Runs change what alternation found only if their gain, a logarithm, is larger by this. Noise is smaller. */
const CHANGED = 0.15
/** How many calls a check takes, and how many of them do not run as decided. */
const CALLS_OF_CHECK = 6
export const OTHER_CALLS_OF_CHECK = 4
/** A run of the second look. */
const LONG = { before: 3, counted: 6 }

/** See the head of this file. */
export class Schedule {
  #stage: Stage
  /** What alternation has found. */
  #alternated: readonly Pair[] | undefined
  /** What the first two rounds of runs have found. */
  #first: readonly Pair[] | undefined
  #result: readonly Pair[] | undefined
  readonly #isCheck: boolean
  #failures = 0
  #calls = 0

  private constructor(stage: Stage, isCheck: boolean) {
    this.#stage = stage
    this.#isCheck = isCheck
  }

  /** Everything that decides about a key. */
  static ofMeasurement(warmUps = WARM_UPS): Schedule {
    return new Schedule(new Alternation(warmUps), false)
  }

  /** One pair: a call in the mode that was decided, and one in the other, each after others in its mode. */
  static ofCheck(decided: OverlapMode): Schedule {
    const usual: Length = { mode: decided, before: CALLS_OF_CHECK - OTHER_CALLS_OF_CHECK - 1, counted: 1 }
    const other: Length = { mode: otherMode(decided), before: OTHER_CALLS_OF_CHECK - 1, counted: 1 }
    return new Schedule(new Runs([[usual, other]]), true)
  }

  next(): Slot | undefined {
    return this.#stage.next()
  }

  done(slot: Slot): void {
    this.#calls += 1
    this.#failures = 0
    this.#stage.done(slot)
  }

  failed(slot: Slot): void {
    this.#calls += 1
    this.#failures += 1
    this.#stage.failed(slot)
  }

  timed(slot: Slot, timing: Timing): void {
    this.#stage.timed(slot, timing)
    const pairs = this.#stage.result
    if (pairs !== undefined && this.#result === undefined) this.#conclude(pairs)
  }

  lost(slot: Slot): void {
    this.#stage.lost(slot)
  }

  /** Whether it makes no sense to go on. */
  get isHopeless(): boolean {
    return this.#failures >= MOST_FAILURES || this.#calls >= MOST_CALLS
  }

  /** The measured pairs if they are enough to decide. */
  get result(): readonly Pair[] | undefined {
    return this.#result
  }

  /** A stage has ended. */
  #conclude(pairs: readonly Pair[]): void {
    if (this.#isCheck) {
      this.#result = pairs
    } else if (this.#alternated === undefined) {
      if (fasterOf(compare(pairs)) === "parallel") this.#result = pairs
      else this.#stage = secondLook()
      this.#alternated = pairs
    } else {
      const all = [...(this.#first ?? []), ...pairs]
      if (!contradict(all, this.#alternated)) this.#result = this.#alternated
      else if (this.#first !== undefined) this.#result = all
      else this.#stage = secondLook()
      this.#first = pairs
    }
  }
}

/** Two rounds of runs. The second round begins with the other mode, so that a steady drift favours neither. */
function secondLook(): Runs {
  const parallel: Length = { mode: "parallel", ...LONG }
  const sequential: Length = { mode: "sequential", ...LONG }
  return new Runs([
    [parallel, sequential],
    [sequential, parallel],
  ])
}

/** Whether the parallel mode is faster in runs, although it was slower in alternation. */
function contradict(runs: readonly Pair[], alternated: readonly Pair[]): boolean {
  const comparison = compare(runs)
  return isLargeFor("parallel", comparison) && comparison.gain - compare(alternated).gain > CHANGED
}
