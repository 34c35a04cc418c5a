import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { StreamFailures } from "../../driver/streams.js"
import type { OpenCapture } from "./capture.js"
import { type Ordered, emptyClock, type VectorClock } from "../clock/vector-clock.js"
import { DisposedError } from "../../common/errors.js"
import type { DeviceOrder } from "./device-order.js"
import type { Operation } from "./observer/operation.js"
import { nowhere, RecordPoint } from "./record-point.js"

/** The state of a stream before it became part of a capture. The end of the capture restores it. */
interface Before {
  readonly capture: OpenCapture | undefined
  readonly clock: VectorClock
  readonly own: number
  readonly handle: StreamHandle
  /** An event after everything queued before; undefined if nothing was, or in an enclosing capture. */
  readonly event: EventHandle | undefined
}

/** Finds the public object of a state, without keeping it alive. */
export interface OwnerRef {
  readonly owner: object | undefined
  /** The object is disposed of. */
  release(): void
}

/** The newest use of a piece of memory by one stream. */
export interface Use {
  readonly stream: StreamState
  readonly tick: number
}

/**
 * The state behind a `Stream`. Allocations, events and forks refer to this instead of the `Stream`, so that a forgotten one
 * can be garbage-collected.
 */
export class StreamState implements Ordered {
  readonly order: DeviceOrder
  /** The driver's stream. It is another one while the stream is part of both a capture and a conditional's body in it. */
  handle: StreamHandle
  readonly name: string
  /** The `id` of its `Stream`; 0 for an internal stream. */
  id = 0
  /** Finds its `Stream`. Undefined for internal streams, and after the stream was disposed of. */
  ownerRef: OwnerRef | undefined
  readonly priority: number
  readonly slot: number
  /** Whether another library made it. Then it is never destroyed, and no memory is freed on it. */
  readonly foreign: boolean
  /** Whether other code may queue work here. Then each record counts as an operation, and no wait is skipped. */
  shared: boolean
  disposed = false
  /** Whether the library chose it (a default or pool stream), so that the user cannot dispose of it. */
  chosen = false
  /** The failures of this stream, on devices where a kernel's failure breaks only its stream. */
  readonly failures: StreamFailures | undefined
  /** The workspace for library calls on this stream. */
  workspace: { dispose(): void } | undefined
  /** An event after the stream's last work, once the stream has been disposed of. */
  end: EventHandle | undefined
  /** Operations up to this tick ran, or were skipped because a kernel failed. */
  brokenAt = 0
  /** What happens before its next operation, without its own operations and the host's clock. */
  #clock = emptyClock
  #tick: number
  /** The tick of its latest operation; in a capture, of its latest captured one, or 0. */
  #own: number
  /** The tick of its latest allocation or free; -1 before the first one. */
  #memory = -1
  /** The tick of its latest operation of another kind, if only allocations and frees followed. */
  #beforeMemory = 0
  /** What happens before its next operation without the host's clock. */
  readonly #waits: Ordered = {
    isAfter: (slot, tick) => (slot === this.slot ? tick <= this.#own : this.#clock.isAfter(slot, tick)),
  }
  #capture: OpenCapture | undefined
  /** One for each capture that it is part of, the innermost last. */
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

  /** The innermost capture that the stream is part of. */
  get capture(): OpenCapture | undefined {
    return this.#capture
  }

  /** Must be called before each operation. Throws if the stream cannot receive work. */
  enter(): void {
    if (this.order.capturing > 0) this.order.captures.check(this)
    this.checkUsable()
  }

  /** Must be called before the stream is made current. Throws if code inside could never queue on it. */
  checkCurrent(): void {
    if (this.order.capturing > 0) this.order.captures.checkCurrent(this)
    this.checkUsable()
  }

  /** Throws if the stream has been disposed of. Without open captures, {@link enter} does no more than this. */
  checkUsable(): void {
    if (this.disposed) throw this.#disposedError()
  }

  #disposedError(): DisposedError {
    return new DisposedError(`${this.name} was disposed of. Create another stream with device.createStream().`)
  }

  /** What happens before the next operation, without the host's clock. In a capture, only captured operations. */
  get clock(): VectorClock {
    return this.#clock.with(this.slot, this.#own)
  }

  /**
   * Makes the stream part of a capture, with an empty clock.
   *
   * @param event recorded after everything queued before
   * @param handle the driver's stream for the capture
   */
  joinCapture(capture: OpenCapture, event: EventHandle | undefined, handle = this.handle): void {
    this.#before.push({ capture: this.#capture, clock: this.#clock, own: this.#own, handle: this.handle, event })
    this.#capture = capture
    this.#clock = emptyClock
    this.#own = 0
    this.handle = handle
  }

  /** Restores the state before the capture. */
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

  /** In a capture, an event after everything queued before it; undefined if nothing was. */
  get beforeCapture(): EventHandle | undefined {
    return this.#before[0]?.event
  }

  /** The driver's stream outside of captures. */
  get outsideHandle(): StreamHandle {
    return this.#before[0]?.handle ?? this.handle
  }

  /** The clock outside of captures. */
  get outsideClock(): VectorClock {
    const before = this.#before[0]
    return before === undefined ? this.clock : before.clock.with(this.slot, before.own)
  }

  /** Its `Stream`, for observers. Undefined for internal streams, and after the stream was disposed of. */
  get owner(): object | undefined {
    return this.ownerRef?.owner
  }

  /** The stream receives no work any more. */
  dispose(): void {
    this.disposed = true
    this.ownerRef?.release()
    this.ownerRef = undefined
  }

  /** Counts an operation that the driver accepted. In a capture it becomes a node, so its description is needed. */
  advance(operation: Operation | undefined): number {
    const tick = this.#count()
    if (this.#capture !== undefined && operation !== undefined) this.#capture.addNode(operation, tick)
    return tick
  }

  /** Counts an allocation or a free, which takes a stream no time. */
  advanceMemory(): number {
    if (this.#own !== this.#memory) this.#beforeMemory = this.#own
    return (this.#memory = this.#count())
  }

  #count(): number {
    return (this.#own = ++this.#tick)
  }

  get tick(): number {
    return this.#tick
  }

  /** Another object after each wait that adds to the stream's clock. */
  get joined(): object {
    return this.#clock
  }

  /** Whether an operation needs more than the births of its operands: in a capture, and after the device's first failure. */
  get needsCare(): boolean {
    return this.#capture !== undefined || this.failures?.arePossible === true
  }

  /**
   * Whether operations need neither a description nor a check of the stream or of earlier failures: nothing watches, the
   * stream has not been disposed of, and no stream of the device has ever broken.
   */
  get isPlain(): boolean {
    return !this.order.isWatched && this.isSound
  }

  /** Whether it has neither been disposed of nor broken. False also if any stream of the device has broken. */
  get isSound(): boolean {
    return !this.disposed && this.failures?.arePossible !== true
  }

  /** Whether the operation (slot, tick) happens before the stream's next operation. */
  isAfter(slot: number, tick: number): boolean {
    if (slot === this.slot ? tick <= this.#own : this.#clock.isAfter(slot, tick)) return true
    // The host's clock does not apply in a capture, because later launches must be ordered, too.
    return this.#capture === undefined && this.order.hostClock.isAfter(slot, tick)
  }

  /**
   * Whether everything queued on another stream so far, including its waits, happens before this stream's next operation.
   */
  isAfterAllOf(other: StreamState): boolean {
    return this.isAfter(other.slot, other.#own) && other.#clock.isBefore(this, this.#clock)
  }

  /** Like {@link isAfterAllOf}, but without regard to the other stream's latest allocations and frees. */
  isAfterWorkOf(other: StreamState): boolean {
    const own = other.#own === other.#memory ? other.#beforeMemory : other.#own
    return this.isAfter(other.slot, own) && other.#clock.isBefore(this, this.#clock)
  }

  /**
   * Like {@link isAfterAllOf}, by waits of this stream alone, without the host's clock. If work of the other stream fails
   * or is skipped, so is this stream's next operation.
   */
  hasJoined(other: StreamState): boolean {
    return this.#waits.isAfter(other.slot, other.#own) && other.#clock.isBefore(this.#waits, this.#clock)
  }

  /** Whether the host knows that everything queued on the stream is over, and whether it succeeded. */
  get isKnownDone(): boolean {
    const { failures } = this
    const isCertain = failures === undefined || failures.hasPassed(failures.position)
    const { hostClock } = this.order
    return isCertain && hostClock.isAfter(this.slot, this.#own) && this.#clock.isBefore(hostClock)
  }

  /** The error that broke the stream, if known. */
  get failure(): Error | undefined {
    return this.failures?.before(Infinity)
  }

  /** Records an event on the stream and sets its point. */
  record(event: EventHandle, point: RecordPoint): void {
    const { order } = this
    if (order.isWatched || this.disposed || this.shared) return this.#recordSlowly(event, point)
    const isInForeignCapture = order.driver.events.record(event, this.handle)
    point.set(this.#clock, this.slot, this.#own, false)
    if (isInForeignCapture) point.isInForeignCapture = true
  }

  #recordSlowly(event: EventHandle, point: RecordPoint): void {
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

  /** Sets a point after everything queued here, without an event. */
  mark(point: RecordPoint): void {
    point.set(this.#clock, this.slot, this.#own, this.shared)
  }

  /** A point after everything queued here outside of captures. */
  newPoint(): RecordPoint {
    const point = new RecordPoint()
    point.set(this.outsideClock, this.slot, this.#before[0]?.own ?? this.#own, this.shared)
    this.order.observer?.marked(this, point)
    return point
  }

  /** Waits for an event's record, unless the point already happens before the stream's next operation. */
  wait(event: EventHandle, point: RecordPoint, elidable: boolean): void {
    const { order } = this
    const { slot, tick } = point
    const next = this.#clock.next(this.slot, point.clock, slot, tick)
    const isPlain = !order.isWatched && !this.disposed && point.capture === undefined && !point.isInForeignCapture
    if (next === undefined || !isPlain || order.hostClock.isAfter(slot, tick)) {
      return this.#waitSlowly(event, point, elidable, next)
    }
    order.driver.streams.wait(this.handle, event)
    this.#clock = next
  }

  /** @param next the clock after the wait, if it follows simply from the clock. Then the wait adds something */
  #waitSlowly(event: EventHandle, point: RecordPoint, elidable: boolean, next: VectorClock | undefined): void {
    const { order } = this
    this.checkUsable()
    if (next !== undefined && order.capturing === 0 && this.#mustBeSent(point)) {
      order.driver.streams.wait(this.handle, event)
      return this.learn(point, next)
    }
    if (order.capturing > 0 || point.capture !== undefined) {
      const capture = order.captures.checkWait(this, point)
      if (capture !== undefined) return this.#waitInside(capture, event, point)
    }
    if (elidable && !this.shared && !point.isInForeignCapture && point.isBefore(this)) {
      return order.observer?.waited(this, point, false)
    }
    order.driver.streams.wait(this.handle, event)
    if (!point.isInForeignCapture) this.learn(point, next)
  }

  /** Whether a wait for a point that adds something to the clock is plain, so that it must be sent to the driver. */
  #mustBeSent({ capture, isInForeignCapture, slot, tick }: RecordPoint): boolean {
    return capture === undefined && !isInForeignCapture && !this.order.hostClock.isAfter(slot, tick)
  }

  /** Merges a point into the clock, after the driver has been told to wait. */
  learn(point: RecordPoint, next?: VectorClock): void {
    if (next !== undefined) this.#clock = next
    else if (point !== nowhere) this.#clock = this.#clock.join(this.slot, point.clock, point.slot, point.tick)
    this.order.observer?.waited(this, point, true)
  }

  /** Waits in a capture are always sent to the driver, because they make streams part of the capture and join them. */
  #waitInside(capture: OpenCapture, event: EventHandle, point: RecordPoint): void {
    if (this.#capture === capture) this.order.driver.streams.wait(this.handle, event)
    else if (this.#capture === undefined) this.#joinCapture(capture, event)
    else this.#joinNested(capture, event)
    capture.addWait(this, point)
    this.learn(point)
  }

  #joinCapture(capture: OpenCapture, event: EventHandle): void {
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

  /**
   * In the driver, a stream is part of one capture only. So another driver's stream replaces it in a conditional's body.
   */
  #joinNested(capture: OpenCapture, event: EventHandle): void {
    const { driver } = this.order
    const handle = driver.streams.create(this.priority, this.name)
    try {
      driver.streams.wait(handle, event)
    } catch (error) {
      driver.streams.destroy(handle)
      throw error
    }
    capture.admit(this, undefined, handle)
  }

  /** In a capture, makes the next operation run after the birth of an array. The clock does not learn this. */
  waitForBirth(event: EventHandle, point: RecordPoint): void {
    this.order.driver.streams.wait(this.handle, event)
    this.#capture?.addWait(this, point)
  }

  /** Makes the next operation run after everything queued on `target` so far. */
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

  /** Waits for the last work of a disposed stream, or for the work of a stream before its capture. */
  #waitForEnd(target: StreamState, end: EventHandle | undefined): void {
    this.enter()
    if (end !== undefined) this.order.driver.streams.wait(this.handle, end)
    this.learn(target.newPoint())
  }
}
