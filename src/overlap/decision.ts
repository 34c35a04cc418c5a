/**
 * What was decided for one key, and the evidence for it. Rare checks add evidence, and change the decision if all of it
 * together clearly favours the other mode.
 */
import type { OverlapMode } from "../runtime/order/policy/overlap-policy.js"
import { compare, type Comparison, fasterOf, isClearFor, type Pair } from "./measurement/rule.js"
import { otherMode } from "./measurement/alternation.js"
import { OTHER_CALLS_OF_CHECK } from "./measurement/schedule.js"
import type { StoredDecision } from "./file/stored.js"

/** The newest pairs that count. Enough that chance rarely changes a decision, few enough that a changed machine does. */
const MOST_EVIDENCE = 32
/** Fewer pairs change no decision. A stored one begins without any. */
const LEAST_EVIDENCE = 6
/** The calls between two checks: at first, at most, and after a check that contradicts. */
const INTERVAL = { first: 64, most: 1024, doubt: 16 }
/** A check may cost this share of the calls between two checks; in doubt, the second share. */
const COST_OF_CHECKS = { usual: 0.005, doubt: 0.02 }
/** What timing the two calls of a check and reading their times takes on the calling thread, in microseconds. */
const TIMING_OF_CHECK = 10

/** See the head of this file. */
export class Decision {
  #mode: OverlapMode
  #pairs: readonly Pair[] = []
  #comparison: Comparison
  #interval = INTERVAL.first
  #former = 0
  #checks = 0
  #changes = 0

  private constructor(mode: OverlapMode, comparison: Comparison) {
    this.#mode = mode
    this.#comparison = comparison
  }

  /** A decision from a file, which keeps no pairs. */
  static stored(stored: StoredDecision): Decision {
    const { mode, pairs, parallelMicroseconds: parallel, sequentialMicroseconds: sequential } = stored
    const decision = new Decision(mode, {
      gain: Math.log(sequential / parallel),
      saved: sequential - parallel,
      ...{ parallel, sequential },
    })
    decision.#former = pairs
    return decision
  }

  /** @param pairs at least one */
  static from(pairs: readonly Pair[]): Decision {
    const comparison = compare(pairs)
    const decision = new Decision(fasterOf(comparison), comparison)
    decision.#pairs = pairs
    return decision
  }

  get mode(): OverlapMode {
    return this.#mode
  }

  /** What the evidence says about both modes; of a stored decision, what was stored, until checks are enough. */
  get comparison(): Comparison {
    return this.#comparison
  }

  /** How many pairs the evidence has: those that count, and those that are only known from a file. */
  get pairs(): number {
    return this.#pairs.length + (this.#pairs.length < LEAST_EVIDENCE ? this.#former : 0)
  }

  /** How many checks there were. */
  get checks(): number {
    return this.#checks
  }

  /** How many times a check has changed the decision. */
  get changes(): number {
    return this.#changes
  }

  /** How many calls run as decided before the next check. */
  get interval(): number {
    const inDoubt = this.#interval === INTERVAL.doubt
    const { gain, parallel, sequential } = this.#comparison
    // In calls of the faster mode: how much longer the slower mode's calls take, and the timing.
    const cost = OTHER_CALLS_OF_CHECK * Math.expm1(Math.abs(gain)) + TIMING_OF_CHECK / Math.min(parallel, sequential)
    return Math.max(this.#interval, Math.round(cost / (inDoubt ? COST_OF_CHECKS.doubt : COST_OF_CHECKS.usual)))
  }

  /** Takes the pair of a check. */
  check(pair: Pair): void {
    this.#checks += 1
    this.#pairs = [...this.#pairs, pair].slice(-MOST_EVIDENCE)
    const contradicts = isClearFor(otherMode(this.#mode), compare([pair]))
    this.#interval = contradicts ? INTERVAL.doubt : Math.min(2 * this.#interval, INTERVAL.most)
    if (this.#pairs.length < LEAST_EVIDENCE) return
    this.#comparison = compare(this.#pairs)
    if (!isClearFor(otherMode(this.#mode), this.#comparison)) return
    this.#mode = otherMode(this.#mode)
    this.#changes += 1
  }
}
