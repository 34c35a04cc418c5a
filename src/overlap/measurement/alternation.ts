/**
 * The first stage of a measurement: a few calls each way that do not count, then pairs of calls, one each way. Every other
 * pair begins with the other mode, so that a steady drift favours neither. Pure, as `schedule.ts` is. It must never ask for
 * more than {@link MOST_PAIRS} pairs.
 */
import type { OverlapMode } from "../../runtime/order/policy/overlap-policy.js"
import { compare, isLargeFor, type Pair, type Timing } from "./rule.js"
import type { Slot, Stage } from "./stage.js"

/** Calls in each mode that do not count: code is compiled, caches fill. */
export const WARM_UPS = 3
/** The most pairs that decide. */
export const MOST_PAIRS = 16
/** A pair that agrees finds the mode faster by this, as a logarithm. */
const LEAST_GAIN = 0.02
/** So many pairs that agree are enough if the difference is large. */
const FEWEST_PAIRS = 6

/** One pair of calls, as far as it is measured. */
class OpenPair {
  readonly first: OverlapMode
  parallel: Timing | undefined
  sequential: Timing | undefined

  constructor(first: OverlapMode) {
    this.first = first
  }
}

/** See the head of this file. */
export class Alternation implements Stage {
  #warmUps: number
  /** Begun pairs in their order. */
  readonly #pairs: OpenPair[] = []
  /** The pair whose second call is still to come. */
  #half: OpenPair | undefined
  #begun = 0

  /** @param warmUps calls in each mode that do not count */
  constructor(warmUps: number) {
    this.#warmUps = 2 * warmUps
  }

  next(): Slot | undefined {
    if (this.#warmUps > 0) {
      return { mode: this.#warmUps % 2 === 0 ? "parallel" : "sequential", isTimed: false, part: undefined }
    }
    const half = this.#half
    if (half !== undefined) return { mode: otherMode(half.first), isTimed: true, part: half }
    if (this.#pairs.length >= MOST_PAIRS) return undefined
    const first = this.#begun % 2 === 0 ? "parallel" : "sequential"
    return { mode: first, isTimed: true, part: new OpenPair(first) }
  }

  done({ part }: Slot): void {
    if (!(part instanceof OpenPair)) {
      this.#warmUps -= 1
    } else if (part === this.#half) {
      this.#half = undefined
    } else {
      this.#begun += 1
      this.#pairs.push(part)
      this.#half = part
    }
  }

  /** The pair is begun anew, because both calls of a pair must follow each other. */
  failed(slot: Slot): void {
    this.lost(slot)
  }

  timed({ part, mode }: Slot, timing: Timing): void {
    if (part instanceof OpenPair) part[mode] = timing
  }

  /** Another pair takes the place of the call's pair. */
  lost({ part }: Slot): void {
    if (!(part instanceof OpenPair)) return
    if (part === this.#half) this.#half = undefined
    const index = this.#pairs.indexOf(part)
    if (index >= 0) this.#pairs.splice(index, 1)
  }

  get result(): readonly Pair[] | undefined {
    const pairs = this.#pairs.filter(isWhole)
    return pairs.length >= MOST_PAIRS || (pairs.length >= FEWEST_PAIRS && agree(pairs)) ? pairs : undefined
  }
}

export function otherMode(mode: OverlapMode): OverlapMode {
  return mode === "parallel" ? "sequential" : "parallel"
}

function isWhole(pair: OpenPair): pair is OpenPair & Pair {
  return pair.parallel !== undefined && pair.sequential !== undefined
}

/** Whether all pairs find the same mode faster, and by far. The quick test comes first: it fails most often. */
function agree(pairs: readonly Pair[]): boolean {
  const mode: OverlapMode = pairs[0] !== undefined && gainOf(pairs[0]) < 0 ? "sequential" : "parallel"
  const sign = mode === "parallel" ? 1 : -1
  return pairs.every((pair) => sign * gainOf(pair) > LEAST_GAIN) && isLargeFor(mode, compare(pairs))
}

/** The gain of one pair, which is too short to tell more than what passed on the stream. */
function gainOf({ parallel, sequential }: Pair): number {
  return Math.log(sequential.elapsed / parallel.elapsed)
}
