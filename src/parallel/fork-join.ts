import { type Context, context, enter, runIn, showRegion } from "../runtime/device/context.js"
import type { Event } from "../runtime/device/event.js"
import { attach, settle } from "../common/results/failures.js"
import type { Stream } from "../runtime/device/stream.js"
import { type Region, RegionPart } from "../runtime/order/observer/region.js"
import { adopt } from "../common/results/thenable.js"
import { lease, release } from "./lease.js"
import { endAfter, inRegion, partOf } from "./region.js"

/** A function that runs beside the main one, with its stream and the event that marks its end. */
export class AuxBranch {
  /** The index of its result. */
  readonly slot: number
  readonly fn: () => unknown
  readonly stream: Stream
  /** The caller's event; if undefined, a pooled event is used. */
  readonly done: Event | undefined
  /** The event that is recorded: `done`, or a pooled event in its place. Undefined until the function is called. */
  leased: Event | undefined
  /** Whether `leased` has been recorded after the function's work. */
  recorded = false
  /** The function's part of the call's region, if there is an observer. */
  part: RegionPart | undefined

  constructor(slot: number, fn: () => unknown, stream: Stream, done: Event | undefined) {
    this.slot = slot
    this.fn = fn
    this.stream = stream
    this.done = done
  }
}

/**
 * The fork-join behind `executeInParallel` and `parallel`: calls `fn0` on the main stream, then each branch on its own
 * stream after `start`, and then makes the main stream wait for each branch's `done`.
 *
 * @param count the number of results; a result without a branch is undefined
 * @param region the call's region if there is an observer
 */
export function forkJoin(
  main: Stream,
  fn0: () => unknown,
  branches: readonly AuxBranch[],
  start: Event | undefined,
  count: number,
  region: Region | undefined,
): unknown[] | Promise<unknown[]> {
  const results = Array<unknown>(count).fill(undefined)
  if (region === undefined) return new ForkJoin(main, branches, results).run(fn0, start)
  for (const branch of branches) branch.part = new RegionPart(region, branch.slot)
  return inRegion(region, () => new ForkJoin(main, branches, results).run(partOf(region, 0, fn0), start))
}

/**
 * The fast path for two functions, in one piece: driver calls evict this code from the processor's caches, so splitting it
 * into several functions doubles its cost. Errors and promises are passed on to {@link ForkJoin}.
 *
 * @param here the caller's context
 * @param region the call's region if there is an observer. Then this must be called by {@link forkJoinOfTwoIn}
 */
export function forkJoinOfTwo(
  here: Context,
  main: Stream,
  fn0: () => unknown,
  fn1: () => unknown,
  stream: Stream,
  start: Event,
  done: Event,
  region: Region | undefined,
): unknown[] | Promise<unknown[]> {
  const fork = lease(start, main.device)
  let leased: Event | undefined
  let result0: unknown
  let result1: unknown
  let promise0: Promise<unknown> | undefined
  let promise1: Promise<unknown> | undefined
  let failure: { slot: number; error: unknown } | undefined
  try {
    if (region !== undefined) showRegion(region.own)
    fork.recordOn(main)
    if (region !== undefined) enterFirst(here, region)
    result0 = fn0()
    promise0 = adopt(result0)
    enter(region === undefined ? here.withStream(stream) : here.inPart(stream, new RegionPart(region, 1)))
    try {
      if (region !== undefined) showRegion(region.own)
      fork.waitOn(stream)
      leased = lease(done, stream.device)
      if (region !== undefined) showRegion(undefined)
      result1 = fn1()
      promise1 = adopt(result1)
    } catch (error) {
      failure = { slot: 1, error }
    } finally {
      enter(here)
    }
  } finally {
    release(fork)
  }
  const results = [result0, result1]
  if (leased !== undefined && failure === undefined && promise0 === undefined && promise1 === undefined) {
    try {
      if (region !== undefined) showRegion(region.own)
      leased.recordOn(stream)
      leased.waitOn(main)
      return results
    } catch (error) {
      joinWhole(stream, main)
      throw error
    } finally {
      release(leased)
    }
  }

  const branch = new AuxBranch(1, fn1, stream, done)
  branch.leased = leased
  const whole = new ForkJoin(main, [branch], results)
  if (promise0 !== undefined) whole.takePromise(0, promise0)
  if (promise1 !== undefined) whole.takePromise(1, promise1)
  if (region === undefined) return whole.end(failure)
  showRegion(undefined)
  return runIn(here.withRegion(region.own), () => whole.end(failure))
}

/** {@link forkJoinOfTwo} for observers. Apart from {@link inRegion}, which is made for any number of functions and costs more. */
export function forkJoinOfTwoIn(
  region: Region,
  here: Context,
  main: Stream,
  fn0: () => unknown,
  fn1: () => unknown,
  stream: Stream,
  start: Event,
  done: Event,
): unknown[] | Promise<unknown[]> {
  let results: unknown[] | Promise<unknown[]> | undefined
  try {
    results = forkJoinOfTwo(here, main, fn0, fn1, stream, start, done, region)
    return results
  } catch (error) {
    enter(here)
    throw error
  } finally {
    showRegion(undefined)
    endAfter(region, results)
  }
}

/** Enters the part of the main function. */
function enterFirst(here: Context, region: Region): void {
  showRegion(undefined)
  enter(here.withRegion(new RegionPart(region, 0)))
}

/**
 * Makes the main stream wait for everything queued on the stream. Used if the join by event failed, because a function
 * disposed of the event or the stream. If this fails, too, the caller throws the first error.
 */
function joinWhole(stream: Stream, main: Stream): void {
  try {
    main.state.waitFor(stream.state)
  } catch {
    // The caller throws the error of the join by event.
  }
}

class ForkJoin {
  readonly #main: Stream
  readonly #branches: readonly AuxBranch[]
  readonly #results: unknown[]
  /** The promises among the results, by slot. */
  #promises: { slot: number; promise: Promise<unknown> }[] | undefined
  #failure: { slot: number; error: unknown } | undefined

  constructor(main: Stream, branches: readonly AuxBranch[], results: unknown[]) {
    this.#main = main
    this.#branches = branches
    this.#results = results
  }

  run(fn0: () => unknown, start: Event | undefined): unknown[] | Promise<unknown[]> {
    const fork = lease(start, this.#main.device)
    try {
      fork.recordOn(this.#main)
      this.#take(0, fn0()) // If this throws, no branch has started, so there is no stream to join.
      for (const branch of this.#branches) {
        if (this.#failure === undefined) this.#start(branch, fork)
      }
    } finally {
      release(fork)
    }
    return this.end(this.#failure)
  }

  #take(slot: number, result: unknown): void {
    const promise = adopt(result)
    if (promise === undefined) this.#results[slot] = result
    else this.takePromise(slot, promise)
  }

  takePromise(slot: number, promise: Promise<unknown>): void {
    ;(this.#promises ??= []).push({ slot, promise })
  }

  #start(branch: AuxBranch, fork: Event): void {
    try {
      const here = context()
      runIn(here.inPart(branch.stream, branch.part ?? here.region), () => this.#call(branch, fork))
    } catch (error) {
      this.#failure = { slot: branch.slot, error }
    }
    // Record the event now if no function returned a promise, so that the branch's stream may be used again.
    if (this.#promises === undefined && branch.leased !== undefined) {
      branch.recorded = tryToRecord(branch.leased, branch.stream)
    }
  }

  #call(branch: AuxBranch, fork: Event): void {
    this.#begin(branch, fork)
    branch.leased = lease(branch.done, branch.stream.device)
    this.#take(branch.slot, branch.fn())
  }

  #begin({ part, stream }: AuxBranch, fork: Event): void {
    if (part === undefined) return fork.waitOn(stream)
    showRegion(part.region.own)
    try {
      fork.waitOn(stream)
    } finally {
      showRegion(undefined)
    }
  }

  /** Joins all branches that started: now, or when all promises have settled. */
  end(failure: { slot: number; error: unknown } | undefined): unknown[] | Promise<unknown[]> {
    this.#failure = failure
    return this.#promises === undefined ? this.#finish() : this.#finishLater(this.#promises)
  }

  #finish(): unknown[] {
    const joinErrors = this.#join()
    if (this.#failure !== undefined) throw attach(this.#failure.error, joinErrors ?? [])
    if (joinErrors !== undefined) throw settle(joinErrors)
    return this.#results
  }

  async #finishLater(promises: { slot: number; promise: Promise<unknown> }[]): Promise<unknown[]> {
    const outcomes = await Promise.allSettled(promises.map(({ promise }) => promise))
    // The async functions queued more work. Record each event again and wait for it, without another await in between.
    for (const branch of this.#branches) branch.recorded = false
    const joinErrors = this.#join()
    const failures = this.#failure === undefined ? [] : [this.#failure]
    outcomes.forEach((outcome, index) => {
      const slot = promises[index]?.slot ?? 0
      if (outcome.status === "fulfilled") this.#results[slot] = outcome.value
      else failures.push({ slot, error: outcome.reason })
    })
    const errors = failures.toSorted((a, b) => a.slot - b.slot).map(({ error }) => error)
    if (errors.length > 0) throw attach(settle(errors), joinErrors ?? [])
    if (joinErrors !== undefined) throw settle(joinErrors)
    return this.#results
  }

  /** Joins every branch that started, even if one join fails. Returns the errors, if any. */
  #join(): unknown[] | undefined {
    let errors: unknown[] | undefined
    for (const { leased, stream, recorded } of this.#branches) {
      if (leased === undefined) continue
      try {
        if (!recorded) leased.recordOn(stream)
        leased.waitOn(this.#main)
      } catch (error) {
        joinWhole(stream, this.#main)
        ;(errors ??= []).push(error)
      } finally {
        release(leased)
      }
    }
    return errors
  }
}

/** Records the event. If that fails, the join records it again and reports the error. */
function tryToRecord(leased: Event, stream: Stream): boolean {
  try {
    leased.recordOn(stream)
    return true
  } catch {
    return false
  }
}
