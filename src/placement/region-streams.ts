/**
 * The streams of a region, by index: the current stream is 0, the others come from the device's pool. Knows which steps run
 * before which, from the region's own waits alone. What the device has finished must never count, because then the same
 * program could get other streams the next time.
 */
import type { EventHandle } from "../driver/handles.js"
import { PoolLease } from "../runtime/device/stream-pool.js"
import type { Stream } from "../runtime/device/stream.js"
import type { Uses } from "../runtime/memory/uses.js"
import { RecordPoint } from "../runtime/order/record-point.js"
import { type Region, RegionPart } from "../runtime/order/observer/region.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import { RegionStream, Step } from "./step.js"

/** What a region may use. */
export interface RegionLimits {
  /** The most streams, the current one included. */
  readonly streams: number
  /** The most streams with calls of a library that needs a workspace on each. */
  readonly workspaces: number
}

/** The region as observers see it. */
export interface PlacedRegion {
  readonly region: Region
  /** The place of the code that is called in it, and of the operations on its first stream. */
  readonly part: RegionPart
  /** The streams so far. */
  readonly streams: StreamState[]
}

/** The point of a fence: everything that stream 0 had queued then. */
interface Fence {
  readonly event: EventHandle
  readonly point: RecordPoint
}

export class RegionStreams {
  readonly #all: RegionStream[]
  readonly #limits: RegionLimits
  readonly #lease: PoolLease
  readonly #main: RegionStream
  /** Recorded at the first step after the fence. Until then everything on stream 0 is before it. */
  #fence: Fence | undefined
  readonly #merged: number[] = []
  /** The greatest depth of the steps that the operation chosen last runs after. */
  #depth = 0
  readonly #region: PlacedRegion
  /** The number of streams that have a workspace. */
  #workspaces = 0

  /** @param region lists the streams */
  constructor(main: Stream, limits: RegionLimits, region: PlacedRegion) {
    this.#region = region
    this.#main = new RegionStream(0, main.state, region.part)
    this.#all = [this.#main]
    this.#limits = limits
    this.#lease = new PoolLease(main)
  }

  /** The number of streams so far. */
  get count(): number {
    return this.#all.length
  }

  /** Whether each of several streams has a later step that runs after all uses. */
  arePast(uses: Uses): boolean {
    let count = 0
    for (const { last, state } of this.#all) {
      if (last === undefined) continue
      if (!uses.isBefore(state)) return false
      count += 1
    }
    return count > 1
  }

  /**
   * Chooses the stream of an operation.
   *
   * @param conflicts the steps that it must run after, the newest first; the first `count` of the list
   * @param needsWorkspace whether it is a call of a library that needs a workspace on its stream
   */
  choose(conflicts: readonly Step[], count: number, needsWorkspace: boolean): RegionStream {
    const isLimited = needsWorkspace && this.#workspaces >= this.#limits.workspaces
    const stream = this.#chooseFrom(conflicts, count, isLimited)
    if (needsWorkspace && !stream.hasWorkspace) {
      stream.hasWorkspace = true
      this.#workspaces += 1
    }
    return stream
  }

  /** @param isLimited whether it must be one that has a workspace */
  #chooseFrom(conflicts: readonly Step[], count: number, isLimited: boolean): RegionStream {
    const followed = this.#deepestLast(conflicts, count, isLimited)
    if (followed !== undefined) return followed
    const before = this.#mergedBefore(conflicts, count)
    let best = this.#main
    let fewest = Infinity
    for (const stream of this.#all) {
      if (isLimited && !stream.hasWorkspace) continue
      const unordered = stream.count - (before[stream.index] ?? 0)
      if (unordered <= 0) return stream
      if (unordered < fewest) {
        fewest = unordered
        best = stream
      }
    }
    return !isLimited && this.#all.length < this.#limits.streams ? this.#add() : best
  }

  /**
   * The stream of the conflict that ends the longest chain of steps, and of several of the newest, among those that are their
   * stream's last step. So the longest chain of a program stays on one stream, and does not wait for events.
   */
  #deepestLast(conflicts: readonly Step[], count: number, isLimited: boolean): RegionStream | undefined {
    let depth = 0
    let deepest = 0
    let found: RegionStream | undefined
    for (let index = 0; index < count; index++) {
      const step = conflicts[index]
      if (step === undefined) continue
      if (step.depth > depth) depth = step.depth
      const { stream } = step
      if (stream.last !== step || step.depth <= deepest || (isLimited && !stream.hasWorkspace)) continue
      deepest = step.depth
      found = stream
    }
    this.#depth = depth
    return found
  }

  /** For each stream, the position up to which its steps run before an operation with these conflicts. */
  #mergedBefore(conflicts: readonly Step[], count: number): readonly number[] {
    const merged = this.#merged
    merged.fill(0)
    for (let index = 0; index < count; index++) {
      const step = conflicts[index]
      if (step === undefined) continue
      mergeInto(merged, beforeEndOf(step))
      mergeOne(merged, step)
    }
    return merged
  }

  #add(): RegionStream {
    const { state } = this.#lease.acquire()
    const index = this.#all.length
    const stream = new RegionStream(index, state, new RegionPart(this.#region.region, index))
    this.#all.push(stream)
    this.#region.streams.push(state)
    return stream
  }

  /**
   * Must be called before the next step of a stream is queued, and before that step's waits.
   *
   * @param replaced how many uses of the stream's last step end with the next one
   */
  begin(stream: RegionStream, replaced: number): void {
    if (this.#limits.streams === 1) return
    this.#fence ??= this.#recordFence()
    const { last } = stream
    // Once the next step is queued, an event would be after both.
    if (last !== undefined && last.uses > replaced) this.#record(last)
    if (stream.isAfterFence) return
    stream.state.wait(this.#fence.event, this.#fence.point, true)
    stream.isAfterFence = true
  }

  #recordFence(): Fence {
    const { state } = this.#main
    const event = state.order.events.acquire()
    const point = new RecordPoint()
    try {
      state.record(event, point)
      return { event, point }
    } catch (error) {
      state.order.events.release(event)
      throw error
    }
  }

  /** Makes the next step of a stream run after a step. @returns whether that needed a wait */
  order(stream: RegionStream, step: Step): boolean {
    if (stream.isAfter(step)) return false
    const { event, point } = this.#record(step)
    stream.state.wait(event, point, true)
    mergeInto(stream.before, beforeEndOf(step))
    mergeOne(stream.before, step)
    return true
  }

  /** Records an event after a step, which must be the last of its stream or have one. */
  #record(step: Step): Fence {
    if (step.event !== undefined && step.point !== undefined) return { event: step.event, point: step.point }
    const { state, before } = step.stream
    const event = state.order.events.acquire()
    const point = new RecordPoint()
    try {
      state.record(event, point)
    } catch (error) {
      state.order.events.release(event)
      throw error
    }
    step.event = event
    step.point = point
    step.before = [...before]
    return { event, point }
  }

  /**
   * Notes that the next step of a stream has been queued: the operation that a stream was chosen for last.
   *
   * @param length see {@link lengthOf}
   */
  add(stream: RegionStream, index: number, length: number): Step {
    const { last } = stream
    const depth = length + Math.max(this.#depth, last === undefined ? 0 : last.depth)
    const step = new Step(index, stream, ++stream.count, depth)
    stream.last = step
    if (last !== undefined) this.letGo(last)
    return step
  }

  /** Called when a place of the history no longer names a step. */
  unuse(step: Step): void {
    step.uses -= 1
    this.letGo(step)
  }

  /** Releases the event of a step that nothing can wait for any more. */
  letGo(step: Step): void {
    if (step.uses > 0 || step.event === undefined || step.stream.last === step) return
    step.stream.state.order.events.release(step.event)
    step.event = undefined
  }

  /**
   * Joins all streams: stream 0 runs after everything, and every later step after what stream 0 has queued until the first
   * of them. Continues after a failure.
   *
   * @returns what failed
   */
  join(): unknown[] {
    const failures: unknown[] = []
    for (const { last } of this.#all) {
      if (last === undefined) continue
      try {
        this.order(this.#main, last)
      } catch (error) {
        failures.push(error, ...this.#joinWhole(last.stream))
      }
    }
    this.#forget()
    return failures
  }

  /** Joins a stream whose last step could not be recorded or waited for, perhaps because the driver refused one call. */
  #joinWhole({ state }: RegionStream): unknown[] {
    try {
      this.#main.state.waitFor(state)
      return []
    } catch (error) {
      return [error]
    }
  }

  #forget(): void {
    const { events } = this.#main.state.order
    for (const stream of this.#all) {
      const { last } = stream
      stream.last = undefined
      stream.count = 0
      stream.before.length = 0
      stream.isAfterFence = stream === this.#main
      if (last?.event !== undefined) events.release(last.event)
      if (last !== undefined) last.event = undefined
    }
    if (this.#fence !== undefined) events.release(this.#fence.event)
    this.#fence = undefined
  }

  /** Returns the streams to the pool. They must have been joined. */
  end(): void {
    this.#lease.end()
  }
}

/** For each stream, the position up to which its steps run before the end of a step. */
function beforeEndOf(step: Step): readonly number[] {
  return step.before ?? step.stream.before
}

function mergeInto(into: number[], from: readonly number[]): void {
  for (let index = 0; index < from.length; index++) {
    const position = from[index] ?? 0
    while (into.length <= index) into.push(0)
    if (position > (into[index] ?? 0)) into[index] = position
  }
}

function mergeOne(into: number[], { stream: { index }, position }: Step): void {
  while (into.length <= index) into.push(0)
  if (position > (into[index] ?? 0)) into[index] = position
}
