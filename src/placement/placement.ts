/**
 * A region while its function runs: chooses the stream of each operation, and makes it wait for the earlier operations that
 * it conflicts with. It never looks at what the device has finished, so the same program is always placed the same way.
 */
import { captureOf } from "../runtime/capture/capture.js"
import type { RegionArrays } from "../runtime/device/array/array-factory.js"
import { context } from "../runtime/device/context.js"
import type { Stream } from "../runtime/device/stream.js"
import type { RegionWork } from "../runtime/memory/recycling.js"
import { RegionMemory } from "../runtime/memory/region-memory.js"
import type { ArrayMemory } from "../runtime/memory/used-memory.js"
import type { Uses } from "../runtime/memory/uses.js"
import type { DeviceOrder } from "../runtime/order/device-order.js"
import { OperationObserver } from "../runtime/order/observer/observer.js"
import type { Operation } from "../runtime/order/observer/operation.js"
import type { Region, RegionPart } from "../runtime/order/observer/region.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import { Explanation } from "./explanation.js"
import { History } from "./history.js"
import { type PlacedRegion, type RegionLimits, RegionStreams } from "./region-streams.js"
import { lengthOf, type RegionStream, type Step } from "./step.js"

/** The memory of the arrays that the region makes. */
interface Memory {
  allocate(byteLength: number, fence: () => void): ArrayMemory
  fence(): void
  end(): void
}

export class Placement extends OperationObserver implements RegionArrays, RegionWork {
  readonly #main: StreamState
  readonly #order: DeviceOrder
  /** Where the region's own code runs: not inside of a fork-join, nor of another region. */
  readonly #part: RegionPart
  readonly #streams: RegionStreams
  readonly #history: History
  readonly #memory: Memory
  #explanation: Explanation | undefined
  /** The number of steps so far. */
  #count = 0
  /** The operation that was placed last, until it has been queued or refused. */
  #placed: Operation | undefined
  #stream: RegionStream | undefined
  /** In `inOrder`: the step queued last, after which the next one runs. */
  #previous: Step | undefined
  #isInOrder = false
  readonly #failures: unknown[] = []

  constructor(main: Stream, limits: RegionLimits, region: PlacedRegion) {
    super()
    this.#main = main.state
    this.#order = main.state.order
    this.#part = region.part
    this.#streams = new RegionStreams(main, limits, region)
    this.#history = new History(this.#streams)
    const { arena } = captureOf(this.#main)?.memory ?? {}
    this.#memory = arena?.openRegion(this.#main, this) ?? new RegionMemory(this.#main, this)
  }

  /** Explains all steps from now on, unless that has begun before. */
  explain(): Explanation {
    const explanation = (this.#explanation ??= new Explanation(this.#count))
    this.#history.listener = explanation.conflict
    return explanation
  }

  /** The number of steps so far. */
  get count(): number {
    return this.#count
  }

  /** Whether code at this place, with this current stream, belongs to the region. */
  contains(part: RegionPart | undefined, stream = this.#main): boolean {
    return part === this.#part && stream === this.#main
  }

  override place(operation: Operation): StreamState {
    const { stream } = operation
    if (stream !== this.#main) return stream
    if (!this.contains(operation.region)) {
      this.fence()
      return stream
    }
    if (operation.isResident) this.fence()
    const chosen = this.#choose(operation)
    operation.region = chosen.part
    return chosen.state
  }

  #choose(operation: Operation): RegionStream {
    const { accesses } = operation
    const history = this.#history
    this.#placed = undefined
    this.#explanation?.begin()
    history.search(accesses)
    if (this.#isInOrder && this.#previous !== undefined) {
      history.add(this.#previous)
      this.#explanation?.follows(this.#previous)
    }
    const { conflicts, conflictCount } = history
    const stream = this.#streams.choose(conflicts, conflictCount, operation.kind === "matmul")
    const { last } = stream
    this.#streams.begin(stream, last === undefined || last.uses === 0 ? 0 : history.replaced(last, accesses))
    // The newest first: it is usually ordered after the others.
    for (let index = 0; index < conflictCount; index++) {
      const step = conflicts[index]
      if (step !== undefined && this.#streams.order(stream, step)) this.#explanation?.waits(step)
    }
    this.#placed = operation
    this.#stream = stream
    return stream
  }

  override accepted(operation: Operation): void {
    const stream = this.#stream
    if (operation !== this.#placed || stream === undefined) return
    this.#placed = undefined
    const step = this.#streams.add(stream, this.#count++, lengthOf(operation.kind))
    this.#history.note(step, operation.accesses)
    this.#explanation?.add(step, operation)
    if (this.#isInOrder) this.#follow(step)
    if (operation.isResident) this.fence()
  }

  #follow(step: Step | undefined): void {
    if (step !== undefined) step.uses += 1
    if (this.#previous !== undefined) this.#streams.unuse(this.#previous)
    this.#previous = step
  }

  override named(order: DeviceOrder): void {
    if (order === this.#order) this.fence()
  }

  override began(region: Region): void {
    if (region !== this.#part.region) this.fence()
  }

  override ended(region: Region): void {
    if (region !== this.#part.region) this.fence()
  }

  /** Joins everything. All later operations run after all earlier ones. */
  fence(): void {
    if (this.#order.closed) return
    this.#failures.push(...this.#streams.join())
    this.#placed = undefined
    this.#previous = undefined
    this.#history.clear()
    this.#explanation?.fence()
    this.#attempt(() => this.#memory.fence())
  }

  /** Does a part of a join. The others follow even if it fails. */
  #attempt(action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#failures.push(error)
    }
  }

  /** Calls a function, whose operations run one after another. */
  inOrder<T>(fn: () => T): T {
    if (this.#isInOrder) return fn()
    this.#isInOrder = true
    try {
      return fn()
    } finally {
      this.#isInOrder = false
      this.#follow(undefined)
    }
  }

  allocate(stream: StreamState, byteLength: number): ArrayMemory | undefined {
    if (!this.contains(context().region, stream)) return undefined
    return this.#memory.allocate(byteLength, () => this.fence())
  }

  get usedBytes(): number {
    return this.#history.byteLength
  }

  isPast(uses: Uses): boolean {
    return this.#streams.arePast(uses)
  }

  /** Called before the function. */
  begin(): void {
    this.#order.captures.hold()
  }

  /** Called after the function: joins everything. @returns what failed */
  end(): unknown[] {
    this.#failures.push(...this.#streams.join())
    this.#history.clear()
    if (!this.#order.closed) this.#attempt(() => this.#memory.end())
    this.#order.captures.unhold()
    this.#streams.end()
    return this.#failures
  }
}
