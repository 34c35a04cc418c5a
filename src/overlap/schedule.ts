/**
 * Which mode each call of a measurement takes: first a few calls each way that do not count, then pairs of calls, one each
 * way. Every other pair begins with the other mode, so that a steady drift favours neither. Pure: times come from outside,
 * later, in any order. It must never ask for more than {@link MOST_PAIRS} pairs.
 */
import type { OverlapMode } from "../runtime/order/policy/overlap-policy.js"
import { compare, isClearFor, type Pair, type Timing } from "./rule.js"

/** Calls in each mode that do not count: code is compiled, caches fill. */
export const WARM_UPS = 3
/** The most pairs that decide. */
export const MOST_PAIRS = 16
/** So many pairs that agree are enough if the difference is large. */
const FEWEST_PAIRS = 6
/** What counts as a large difference. */
const LARGE = { relative: 0.05, microseconds: 1 }
/** After so many calls in a row that did not count, the measurement has failed. */
const MOST_FAILURES = 64

/** One pair of calls, as far as it is measured. */
class OpenPair {
  readonly first: OverlapMode
  parallel: Timing | undefined
  sequential: Timing | undefined

  constructor(first: OverlapMode) {
    this.first = first
  }
}

/** The place of one call in a measurement. */
export interface Slot {
  readonly mode: OverlapMode
  /** Undefined for a call of the warm-up. */
  readonly pair: OpenPair | undefined
}

/** See the head of this file. */
export class Schedule {
  readonly #most: number
  #warmUps: number
  /** Begun pairs in their order. */
  readonly #pairs: OpenPair[] = []
  /** The pair whose second call is still to come. */
  #half: OpenPair | undefined
  #begun: number
  #failures = 0

  /**
   * @param warmUps calls in each mode that do not count
   * @param most how many pairs to take
   * @param begun how many pairs were begun before, elsewhere: it determines which mode begins
   */
  constructor(warmUps = WARM_UPS, most = MOST_PAIRS, begun = 0) {
    this.#warmUps = 2 * warmUps
    this.#most = most
    this.#begun = begun
  }

  /** The place of the next call; undefined if all calls were made and their times are awaited. */
  next(): Slot | undefined {
    if (this.#warmUps > 0) return { mode: this.#warmUps % 2 === 0 ? "parallel" : "sequential", pair: undefined }
    const half = this.#half
    if (half !== undefined) return { mode: otherMode(half.first), pair: half }
    if (this.#pairs.length >= this.#most) return undefined
    const first = this.#begun % 2 === 0 ? "parallel" : "sequential"
    return { mode: first, pair: new OpenPair(first) }
  }

  /** The call at this place has ended, and counts. Its time follows, unless it is lost. */
  done({ pair }: Slot): void {
    this.#failures = 0
    if (pair === undefined) {
      this.#warmUps -= 1
    } else if (pair === this.#half) {
      this.#half = undefined
    } else {
      this.#begun += 1
      this.#pairs.push(pair)
      this.#half = pair
    }
  }

  /** The call does not count. Its pair is begun anew, because both calls of a pair must follow each other. */
  failed({ pair }: Slot): void {
    this.#failures += 1
    if (pair !== undefined) this.lost({ pair })
  }

  /** Whether so many calls in a row did not count that this makes no sense. */
  get isHopeless(): boolean {
    return this.#failures >= MOST_FAILURES
  }

  /** The time of a call is known. */
  timed({ pair, mode }: Required<Slot>, timing: Timing): void {
    if (pair !== undefined) pair[mode] = timing
  }

  /** The time of a call cannot be known, so another pair takes the place of its pair. */
  lost({ pair }: Pick<Slot, "pair">): void {
    if (pair === undefined) return
    if (pair === this.#half) this.#half = undefined
    const index = this.#pairs.indexOf(pair)
    if (index >= 0) this.#pairs.splice(index, 1)
  }

  /** The measured pairs if they are enough to decide. */
  get result(): readonly Pair[] | undefined {
    const pairs = this.#pairs.filter(isWhole)
    return pairs.length >= this.#most || (pairs.length >= FEWEST_PAIRS && agree(pairs)) ? pairs : undefined
  }
}

export function otherMode(mode: OverlapMode): OverlapMode {
  return mode === "parallel" ? "sequential" : "parallel"
}

function isWhole(pair: OpenPair): pair is OpenPair & Pair {
  return pair.parallel !== undefined && pair.sequential !== undefined
}

/** Whether all pairs find the same mode faster, and by far. */
function agree(pairs: readonly Pair[]): boolean {
  const { gain, saved } = compare(pairs)
  if (Math.abs(gain) < LARGE.relative || Math.abs(saved) < LARGE.microseconds) return false
  const mode = gain < 0 ? "sequential" : "parallel"
  return pairs.every((pair) => isClearFor(mode, compare([pair])))
}
