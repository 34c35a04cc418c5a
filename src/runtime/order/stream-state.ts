import type { EventHandle, StreamFailures, StreamHandle } from "../../driver.js"
import type { OpenCapture } from "./capture.js"
import { type Ordered, emptyClock, type VectorClock } from "./clock.js"
import { DisposedError } from "../../common/errors.js"
import type { DeviceOrder } from "./device-order.js"
import type { Operation } from "./operation.js"
import { RecordPoint } from "./record-point.js"

/** What a stream was before it came into a capture, and goes back to. */
interface Before {
  readonly capture: OpenCapture | undefined
  readonly clock: VectorClock
  readonly own: number
  readonly handle: StreamHandle
  /** Recorded behind what had been queued; undefined if nothing was, or in a capture. */
  readonly event: EventHandle | undefined
}

/**
 * A stream below its public face: what allocations, events and forks hold on to, so that a forgotten
 * {@link Stream} can still be collected.
 */
export class StreamState implements Ordered {
  readonly order: DeviceOrder
  /** Another one while the stream takes part in a body, if it takes part in the capture around it, too. */
  handle: StreamHandle
  readonly name: string
  readonly priority: number
  readonly slot: number
  /** Another library's: never destroyed by us, and nothing is ever freed on it. */
  readonly foreign: boolean
  /** Others may queue here, too: each record counts as new work, and no wait is elided. */
  shared: boolean
  disposed = false
  /** Was it chosen by the library, so that no caller can dispose of it: a default stream, or one of the pool? */
  chosen = false
  /** How it fares, where a kernel's failure breaks its stream alone. */
  readonly failures: StreamFailures | undefined
  /** The scratch memory of library calls here. */
  workspace: { dispose(): void } | undefined
  /** Behind the last of the stream's work, once it is disposed of. */
  end: EventHandle | undefined
  /** Up to here its work is over, as it is known to be broken there: it was run or skipped. */
  brokenAt = 0
  /** What its next operation runs after, but for its own work and what the host has seen done. */
  #clock = emptyClock
  #tick: number
  /** Of its own work, what its next operation runs after; in a capture, only what is captured. */
  #own: number
  /** What its next operation runs after by its own waits, whatever the host has seen. */
  readonly #waits: Ordered = {
    isAfter: (slot, tick) => (slot === this.slot ? tick <= this.#own : this.#clock.isAfter(slot, tick)),
  }
  #capture: OpenCapture | undefined
  /** One for each capture that it takes part in, the innermost last. */
  readonly #before: Before[] = []

  constructor(order: DeviceOrder, handle: StreamHandle, name: string, priority: number, foreign: boolean) {
    const { slot, tick } = order.slots.acquire()
    this.order = order
    this.handle = handle
    this.name = name
    this.priority = priority
    this.foreign = foreign
    this.failures = order.driver.streams.watchFailures?.(handle)
    this.shared = foreign
    this.slot = slot
    this.#tick = tick
    this.#own = tick
  }

  /** The capture that the stream takes part in. */
  get capture(): OpenCapture | undefined {
    return this.#capture
  }

  /** Comes before everything that is queued: refuses what cannot be queued on. */
  enter(): void {
    if (this.order.capturing > 0) this.order.captures.check(this)
    this.checkUsable()
  }

  /** Comes before it is made current: refuses what the code inside can never queue on. */
  checkCurrent(): void {
    if (this.order.capturing > 0) this.order.captures.checkCurrent(this)
    this.checkUsable()
  }

  /** Refuses a stream that has been disposed of. Without captures under way, that is all that {@link enter} does. */
  checkUsable(): void {
    if (this.disposed) throw this.#disposedError()
  }

  #disposedError(): DisposedError {
    return new DisposedError(`${this.name} was disposed of. Create another stream with device.createStream().`)
  }

  /** What is queued next runs after all that this knows, and what the host does. In a capture, of the capture only. */
  get clock(): VectorClock {
    return this.#clock.with(this.slot, this.#own)
  }

  /**
   * Takes part in a capture from here on, with a clock that knows nothing.
   *
   * @param event recorded behind what had been queued
   * @param handle what is queued on from here on
   */
  joinCapture(capture: OpenCapture, event: EventHandle | undefined, handle = this.handle): void {
    this.#before.push({ capture: this.#capture, clock: this.#clock, own: this.#own, handle: this.handle, event })
    this.#capture = capture
    this.#clock = emptyClock
    this.#own = 0
    this.handle = handle
  }

  /** Goes back to what it was before the capture. */
  leaveCapture(): void {
    const before = this.#before.pop()
    if (before === undefined) return
    if (this.handle !== before.handle) this.order.driver.streams.destroy(this.handle)
    this.handle = before.handle
    this.#capture = before.capture
    this.#clock = before.clock
    this.#own = before.own
    if (before.event !== undefined) this.order.events.release(before.event)
  }

  /** While captured: an event behind all that was queued before; undefined if nothing was. */
  get beforeCapture(): EventHandle | undefined {
    return this.#before[0]?.event
  }

  /** What the driver calls the stream outside captures. */
  get outsideHandle(): StreamHandle {
    return this.#before[0]?.handle ?? this.handle
  }

  /** The clock outside captures. */
  get outsideClock(): VectorClock {
    const before = this.#before[0]
    return before === undefined ? this.clock : before.clock.with(this.slot, before.own)
  }

  /** Counts an operation that the driver accepted. In a capture it becomes a node, and so must be described. */
  advance(operation: Operation | undefined): number {
    const tick = this.#count()
    if (this.#capture !== undefined && operation !== undefined) this.#capture.addNode(operation, tick)
    return tick
  }

  #count(): number {
    return (this.#own = ++this.#tick)
  }

  get tick(): number {
    return this.#tick
  }

  /** Must what is used be checked for what a failure has left there? Before the device's first failure only in captures. */
  get mustCheckWritten(): boolean {
    const { failures } = this
    return failures !== undefined && (this.#capture !== undefined || failures.arePossible)
  }

  /** Is everything up to this tick of this slot ordered before what is queued here next? */
  isAfter(slot: number, tick: number): boolean {
    if (slot === this.slot ? tick <= this.#own : this.#clock.isAfter(slot, tick)) return true
    // A capture starts from nothing: what the host has seen done is no part of the graph.
    return this.#capture === undefined && this.order.hostClock.isAfter(slot, tick)
  }

  /** Is all that was queued on another stream so far, its waits included, ordered before what is queued here next? */
  isAfterAllOf(other: StreamState): boolean {
    return this.isAfter(other.slot, other.#own) && other.#clock.isBefore(this, this.#clock)
  }

  /**
   * The same by the waits of this stream alone, whatever the host has seen: if something there breaks, or is skipped, so
   * is what is queued here next.
   */
  hasJoined(other: StreamState): boolean {
    return this.#waits.isAfter(other.slot, other.#own) && other.#clock.isBefore(this.#waits, this.#clock)
  }

  /** Is everything that was queued on the stream over, as the host has seen, and known to have succeeded or not? */
  get isKnownDone(): boolean {
    const { failures } = this
    const isCertain = failures === undefined || failures.hasPassed(failures.position)
    const { hostClock } = this.order
    return isCertain && hostClock.isAfter(this.slot, this.#own) && this.#clock.isBefore(hostClock)
  }

  /** What has broken the stream, as far as is known. */
  get failure(): Error | undefined {
    return this.failures?.before(Infinity)
  }

  /** Records an event here and gives it the point. */
  record(event: EventHandle, point: RecordPoint): void {
    const { order } = this
    if (order.isWatched || this.disposed || this.shared) return this.#recordWithCare(event, point)
    const isInForeignCapture = order.driver.events.record(event, this.handle)
    point.set(this.#clock, this.slot, this.#own, false)
    if (isInForeignCapture) point.isInForeignCapture = true
  }

  #recordWithCare(event: EventHandle, point: RecordPoint): void {
    this.enter()
    const isCaptured = this.order.driver.events.record(event, this.handle)
    if (this.shared) this.#count()
    point.set(this.#clock, this.slot, this.#own, this.shared)
    if (this.#capture === undefined) point.isInForeignCapture = isCaptured
    else {
      point.capture = this.#capture.link
      point.dependencies = this.#capture.dependenciesOf(this)
    }
    this.order.observer?.recorded(this, point)
  }

  /** Has the point stand for all that is queued here, without an event. */
  mark(point: RecordPoint): void {
    point.set(this.#clock, this.slot, this.#own, this.shared)
  }

  /** A point that stands for all that is queued here outside captures. */
  newPoint(): RecordPoint {
    const point = new RecordPoint()
    point.set(this.outsideClock, this.slot, this.#before[0]?.own ?? this.#own, this.shared)
    return point
  }

  /** Waits for an event's record, unless the clock says that the wait would add nothing. */
  wait(event: EventHandle, point: RecordPoint, elidable: boolean): void {
    const { order } = this
    const { slot, tick } = point
    const next = this.#clock.next(this.slot, point.clock, slot, tick)
    const isPlain = !order.isWatched && !this.disposed && point.capture === undefined && !point.isInForeignCapture
    if (next === undefined || !isPlain || order.hostClock.isAfter(slot, tick)) {
      return this.#waitWithCare(event, point, elidable)
    }
    order.driver.streams.wait(this.handle, event)
    this.#clock = next
  }

  #waitWithCare(event: EventHandle, point: RecordPoint, elidable: boolean): void {
    const { order } = this
    this.checkUsable()
    if (order.capturing > 0 || point.capture !== undefined) {
      const capture = order.captures.checkWait(this, point)
      if (capture !== undefined) return this.#waitInside(capture, event, point)
    }
    if (elidable && !this.shared && !point.isInForeignCapture && point.isBefore(this)) {
      return order.observer?.waited(this, point, false)
    }
    order.driver.streams.wait(this.handle, event)
    if (!point.isInForeignCapture) this.learn(point)
  }

  /** Notes that what is queued next runs after the point, as the driver was told. */
  learn(point: RecordPoint): void {
    this.#clock = this.#clock.join(this.slot, point.clock, point.slot, point.tick)
    this.order.observer?.waited(this, point, true)
  }

  /** In a capture, waits are what brings a stream in and joins it back: they are always sent. */
  #waitInside(capture: OpenCapture, event: EventHandle, point: RecordPoint): void {
    if (this.#capture === capture) this.order.driver.streams.wait(this.handle, event)
    else if (this.#capture === undefined) this.#comeIn(capture, event)
    else this.#comeInTwice(capture, event)
    capture.addWait(this, point)
    this.learn(point)
  }

  #comeIn(capture: OpenCapture, event: EventHandle): void {
    const { driver, events } = this.order
    const before = events.acquire()
    try {
      driver.events.record(before, this.handle)
      driver.streams.wait(this.handle, event)
    } catch (error) {
      events.release(before)
      throw error
    }
    capture.admit(this, before)
  }

  /** The driver knows a stream in one capture only: in a body of that, another one stands in for it. */
  #comeInTwice(capture: OpenCapture, event: EventHandle): void {
    const { driver } = this.order
    const handle = driver.streams.create(this.priority)
    try {
      driver.streams.wait(handle, event)
    } catch (error) {
      driver.streams.destroy(handle)
      throw error
    }
    capture.admit(this, undefined, handle)
  }

  /** In a capture: what is captured here next comes behind a point that the clock needs not know. */
  comeBehind(event: EventHandle, point: RecordPoint): void {
    this.order.driver.streams.wait(this.handle, event)
    this.#capture?.addWait(this, point)
  }

  /** Makes what is queued here next run after all that is queued on `target` so far. */
  waitFor(target: StreamState): void {
    this.checkUsable()
    const elidable = !this.shared && !target.shared && this.order.capturing === 0
    if (elidable && this.isAfterAllOf(target) && !this.order.isCapturedByOthers(target)) {
      return this.order.observer?.waited(this, target.newPoint(), false)
    }
    if (target.disposed) return this.#waitForEnd(target, target.end)
    if (target.capture !== undefined && this.#capture === undefined && this.order.captures.here() === undefined) {
      return this.#waitForEnd(target, target.beforeCapture)
    }
    const event = this.order.events.acquire()
    const point = new RecordPoint()
    try {
      target.record(event, point)
      this.wait(event, point, elidable)
    } finally {
      this.order.events.release(event)
    }
  }

  /** Waits for all that was ever queued on a stream, or before its capture. */
  #waitForEnd(target: StreamState, end: EventHandle | undefined): void {
    this.enter()
    if (end !== undefined) this.order.driver.streams.wait(this.handle, end)
    this.learn(target.newPoint())
  }
}
