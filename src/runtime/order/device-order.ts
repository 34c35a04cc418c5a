import type { Driver } from "../../driver/driver.js"
import type { EventHandle } from "../../driver/handles.js"
import type { CaptureContext } from "./capture.js"
import { Captures } from "./capture-guard.js"
import { ClockSlots } from "../clock/clock-slots.js"
import { HostClock } from "../clock/host-clock.js"
import type { VectorClock } from "../clock/vector-clock.js"
import { DeviceLostError, KernelError, OutOfMemoryError } from "../../common/errors.js"
import { EventPool } from "./event-pool.js"
import type { OperationObserver } from "./observer/observer.js"
import { closeToObservers, countCaptures, openToObservers } from "./observer/observers.js"
import { DeferredReleases } from "./deferred-releases.js"
import { RecordPoint } from "./record-point.js"
import { StreamState } from "./stream-state.js"
import { failureOf, synchronizeBefore } from "./synchronize.js"
import { wasTold } from "./told-failures.js"
import { RetiredStreams } from "./retired-streams.js"

/** The order of one device's work: its streams with their clocks, the host's clock, and the pooled events. */
export class DeviceOrder {
  readonly driver: Driver
  readonly slots = new ClockSlots()
  readonly hostClock = new HostClock()
  readonly events: EventPool
  readonly captures: Captures
  #capturing = 0
  /** How often something was compiled, loaded or captured. Only changes matter: such a call takes unusually long. */
  loads = 0
  #observer: OperationObserver | undefined
  /** Whether a capture or an observer needs a description of each operation, record and wait. */
  isWatched = false
  /** How many kernels were launched that need the whole device. Policies compare two values. */
  residentLaunches = 0
  /** How often the program has waited for work, or asked and learned that it is done. Policies compare two values. */
  waits = 0
  readonly deferredReleases = new DeferredReleases(this)
  readonly #live = new Set<StreamState>()
  readonly retired = new RetiredStreams(this)
  #reaper: StreamState | undefined
  #source: StreamState | undefined
  closed = false

  constructor(driver: Driver, context: CaptureContext) {
    this.driver = driver
    this.captures = new Captures(this, context)
    this.events = new EventPool(driver)
    openToObservers(this)
  }

  /** The number of open captures. While it is 0, operations need no checks for captures. */
  get capturing(): number {
    return this.#capturing
  }

  setCapturing(count: number): void {
    countCaptures(count - this.#capturing)
    this.#capturing = count
    this.loads += 1
    this.isWatched = count > 0 || this.#observer !== undefined
  }

  /** The observer of everything that is queued, if any. */
  get observer(): OperationObserver | undefined {
    return this.#observer
  }

  set observer(observer: OperationObserver | undefined) {
    this.#observer = observer
    this.isWatched = this.#capturing > 0 || observer !== undefined
  }

  /** Must be called before the program uses a stream or an event by name, or waits. See {@link OperationObserver.named}. */
  named(): void {
    if (this.isWatched) this.#observer?.named(this)
  }

  /** Runs a function whose records and waits the observer must not see, because they are not the program's order. */
  unobserved(run: () => void): void {
    const observer = this.#observer
    this.observer = undefined
    try {
      run()
    } finally {
      this.observer = observer
    }
  }

  /** All streams that have not been disposed of, including internal ones. */
  get live(): Iterable<StreamState> {
    return this.#live
  }

  /**
   * Whether calls about the whole device ignore this stream's failure. They never report internal streams. The user
   * cannot dispose of a stream that the library chose, so its failure is reported once only.
   */
  isSilent(state: StreamState): boolean {
    return state === this.#reaper || state === this.#source || (state.chosen && wasTold(state.failure))
  }

  createStream(priority: number, name: string): StreamState {
    this.retired.reap()
    return this.#enlist(new StreamState(this, this.driver.streams.create(priority, name), name, priority, false))
  }

  adoptStream(foreign: bigint, name: string): StreamState {
    const handle = this.driver.streams.adopt(foreign)
    return this.#enlist(new StreamState(this, handle, name, this.driver.streams.priorityOf(handle), true))
  }

  #enlist(state: StreamState): StreamState {
    this.#live.add(state)
    return state
  }

  /** Notes that the host has seen everything in the clock done. */
  hostLearns(clock: VectorClock): void {
    this.hostClock.learn(clock)
  }

  /** Notes that everything before the point is done, because the program itself has waited or queried. */
  programLearns(point: RecordPoint): void {
    this.waits += 1
    this.hostClock.learn(point.wholeClock)
    this.#observer?.synchronized(this, point)
  }

  /** Called if the program has waited for a point, or queried it, and got an error. */
  programSeesFailure(point: RecordPoint, error: unknown): void {
    if (error instanceof KernelError) this.#observer?.failed(this, point)
  }

  /** A point after everything queued on the device so far, for observers. */
  markAll(): RecordPoint {
    const point = new RecordPoint()
    this.#observer?.markedAll(this, point)
    return point
  }

  /** Ends a stream. Its queued work continues; its slot is released when that is done. */
  disposeStream(state: StreamState): void {
    if (state.disposed) return
    if (state.capture !== undefined) return this.captures.defer(() => this.disposeStream(state))
    if (this.isCapturedByOthers(state)) return this.deferredReleases.hold(() => this.disposeStream(state))
    this.freeWorkspace(state)
    if (!this.#markEnd(state)) return this.deferredReleases.hold(() => this.disposeStream(state))
    this.#live.delete(state)
    state.dispose()
    this.driver.streams.destroy(state.handle)
    this.retired.add(state)
    this.retired.reap()
  }

  /** Frees the workspace of library calls in the stream's order. The next such call allocates a new one. */
  freeWorkspace(state: StreamState): void {
    state.workspace?.dispose()
    state.workspace = undefined
  }

  /** Records an event after the stream's last work. @returns false if that must be retried later */
  #markEnd(state: StreamState): boolean {
    let end: EventHandle | undefined
    try {
      end = this.events.acquire()
      this.driver.events.record(end, state.handle)
      state.end = end
      return true
    } catch (error) {
      if (end !== undefined) this.events.release(end)
      return error instanceof DeviceLostError // A lost device runs nothing any more, so there is no end to wait for.
    }
  }

  /** Whether everything before the event's record is done, or can never run. */
  hasPassed(event: EventHandle): boolean {
    try {
      return this.driver.events.query(event)
    } catch (error) {
      // If the stream is broken or the device lost, that work is over, too. After any other failure this is not known.
      return error instanceof KernelError || error instanceof DeviceLostError
    }
  }

  /**
   * Whether another library captures the stream.
   *
   * @param ifUnknown the answer if the driver cannot tell: by default true, so that the caller asks again later
   */
  isCapturedByOthers(state: StreamState, ifUnknown = true): boolean {
    try {
      return this.queryCapturedByOthers(state)
    } catch (error) {
      return ifUnknown && !(error instanceof DeviceLostError)
    }
  }

  /** Whether another library captures the stream. @throws what the driver throws if it cannot tell */
  queryCapturedByOthers({ disposed, handle }: StreamState): boolean {
    return !disposed && this.driver.streams.isCapturedByOthers(handle)
  }

  /** The internal stream for frees if no stream of the user is ordered after all uses. */
  get reaper(): StreamState {
    this.#reaper ??= this.createStream(this.driver.priorities.least, "the internal stream that frees memory")
    return this.#reaper
  }

  /**
   * The internal stream on which graphs' memory is allocated. It never waits, so that no launch of a graph waits for it.
   */
  get source(): StreamState {
    this.#source ??= this.createStream(this.driver.priorities.least, "the internal stream of graphs' memory")
    return this.#source
  }

  /** Replaces the internal stream after a stream that it waited for has broken it. */
  replaceReaper(): void {
    if (this.#reaper === undefined) return
    this.disposeStream(this.#reaper)
    this.#reaper = undefined
  }

  /** Without streams, nothing else that waits for the device would notice that it is lost. @throws DeviceLostError */
  checkNotLost(): void {
    if (this.#live.size === 0) this.driver.memory.usage()
  }

  /**
   * Calls the driver to allocate something. If there is no memory, waits for all pending frees and tries once more. Every
   * allocation by the driver must be made through this.
   */
  allocate<T>(attempt: () => T): T {
    try {
      return attempt()
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error
      this.named() // A region gives back the memory that it keeps.
      this.drainFrees()
      return attempt()
    }
  }

  /** Blocks until all freed memory can be used again, including what streams freed before a capture that is still open. */
  drainFrees(): void {
    if (this.capturing > 0) {
      for (const state of this.#live) if (state.capture !== undefined) failureOf(() => synchronizeBefore(state))
    }
    this.deferredReleases.drain()
    this.driver.memory.drainFrees()
  }

  /** Ends everything. @returns an error if the driver cannot see the end of the work on foreign streams */
  close(): unknown {
    const unseen = failureOf(() => this.#awaitForeign())
    this.closed = true
    closeToObservers(this)
    for (const state of this.#live) {
      state.dispose()
      this.driver.streams.destroy(state.handle)
    }
    this.#live.clear()
    this.retired.close()
    this.events.close()
    return unseen
  }

  /**
   * Makes an internal stream wait for the work on foreign streams. The driver sees only the ends of its own streams, and
   * frees the remaining memory after them.
   */
  #awaitForeign(): void {
    for (const state of this.#live) {
      if (!state.foreign) continue
      if (!this.isCapturedByOthers(state)) this.reaper.waitFor(state)
      else if (!this.hostClock.isAfter(state.slot, state.tick)) this.captures.checkNotOthers(state, "be waited for")
    }
    for (const { foreign, end } of this.retired) {
      if (foreign && end !== undefined) this.driver.streams.wait(this.reaper.handle, end)
    }
  }
}
