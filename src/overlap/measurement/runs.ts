/**
 * Runs: calls in one mode that follow each other, so that what a mode costs once it lasts shows. The first calls of a run
 * do not count: threads wake, and the work of the mode before is still queued. Pure, as `schedule.ts` is.
 */
import type { OverlapMode } from "../../runtime/order/policy/overlap-policy.js"
import type { Pair, Timing } from "./rule.js"
import type { Slot, Stage } from "./stage.js"

/** How long a run is. */
export interface Length {
  readonly mode: OverlapMode
  /** Calls that do not count. */
  readonly before: number
  /** Calls that count after that. */
  readonly counted: number
}

class Run {
  readonly mode: OverlapMode
  isLost = false
  /** The facts about the calls that count. */
  readonly timings: Timing[] = []
  readonly #counted: number
  #before: number
  #left: number

  constructor({ mode, before, counted }: Length) {
    this.mode = mode
    this.#before = before
    this.#left = counted
    this.#counted = counted
  }

  /** Undefined if all calls were made. */
  next(): Slot | undefined {
    return this.#left === 0 ? undefined : { mode: this.mode, isTimed: this.#before === 0, part: this }
  }

  done(): void {
    if (this.#before > 0) this.#before -= 1
    else this.#left -= 1
  }

  get isKnown(): boolean {
    return this.timings.length === this.#counted
  }
}

/** Two runs, one in each mode. */
class Round {
  readonly #runs: readonly [Run, Run]

  constructor([first, second]: readonly [Length, Length]) {
    this.#runs = [new Run(first), new Run(second)]
  }

  get isLost(): boolean {
    return this.#runs.some(({ isLost }) => isLost)
  }

  next(): Slot | undefined {
    return this.#runs[0].next() ?? this.#runs[1].next()
  }

  get isKnown(): boolean {
    return this.#runs.every(({ isKnown }) => isKnown)
  }

  /** The first call of one run with the first of the other, and so on. */
  get pairs(): Pair[] {
    const [first, second] = this.#runs
    const [parallel, sequential] = first.mode === "parallel" ? [first, second] : [second, first]
    return parallel.timings.flatMap((timing, place) => {
      const other = sequential.timings[place]
      return other === undefined ? [] : { parallel: timing, sequential: other }
    })
  }
}

/** See the head of this file. */
export class Runs implements Stage {
  readonly #plan: readonly (readonly [Length, Length])[]
  readonly #rounds: Round[]

  /** @param plan the runs of each round */
  constructor(plan: readonly (readonly [Length, Length])[]) {
    this.#plan = plan
    this.#rounds = plan.map((lengths) => new Round(lengths))
  }

  next(): Slot | undefined {
    for (const round of this.#rounds) {
      const slot = round.next()
      if (slot !== undefined) return slot
    }
    return undefined
  }

  done({ part }: Slot): void {
    if (part instanceof Run) part.done()
  }

  /** A call that does not count is made again. */
  failed(): void {}

  timed({ part }: Slot, timing: Timing): void {
    if (part instanceof Run) part.timings.push(timing)
  }

  /** The round begins anew. */
  lost({ part }: Slot): void {
    if (!(part instanceof Run)) return
    part.isLost = true
    for (const [index, lengths] of this.#plan.entries()) {
      if (this.#rounds[index]?.isLost === true) this.#rounds[index] = new Round(lengths)
    }
  }

  get result(): readonly Pair[] | undefined {
    return this.#rounds.every(({ isKnown }) => isKnown) ? this.#rounds.flatMap(({ pairs }) => pairs) : undefined
  }
}
