import type { Driver, EventHandle } from "../../driver.js"
import type { CaptureContext } from "./capture.js"
import { Captures } from "./capture-guard.js"
import { ClockSlots, HostClock, type VectorClock } from "./clock.js"
import { DeviceLostError, KernelError, OutOfMemoryError } from "../../common/errors.js"
import { EventPool } from "./event-pool.js"
import type { OperationObserver } from "./observer.js"
import { closeToObservers, openToObservers } from "./observers.js"
import { DeferredReleases } from "./deferred-releases.js"
import { StreamState } from "./stream-state.js"
import { tell, wasTold } from "./told-failures.js"
import { Rounds } from "../../common/rounds.js"
import type { Use } from "./use.js"

/** At most this many held releases are tried again per creation, so that thousands of them cost no more than a few. */
const looks = 4

/** The order of one device's work: its streams' clocks, what the host knows, and the events that tell it. */
export class DeviceOrder {
  readonly driver: Driver
  readonly slots = new ClockSlots()
  readonly hostClock = new HostClock()
  readonly events: EventPool
  readonly captures: Captures
  #capturing = 0
  #observer: OperationObserver | undefined
  /** Must operations, records and waits be described to somebody: to a capture that is under way, or to an observer? */
  isWatched = false
  readonly deferredReleases = new DeferredReleases(this)
  readonly #live = new Set<StreamState>()
  readonly #retired = new Rounds<StreamState>()
  /** What is given back of streams that other libraries capture, or that such streams use. */
  readonly #held: (() => void)[] = []
  #reaper: StreamState | undefined
  #source: StreamState | undefined
  closed = false

  constructor(driver: Driver, context: CaptureContext) {
    this.driver = driver
    this.captures = new Captures(this, context)
    this.events = new EventPool(driver)
    openToObservers(this)
  }

  /** How many captures are under way. Without any, nobody has to ask about them. */
  get capturing(): number {
    return this.#capturing
  }

  setCapturing(count: number): void {
    this.#capturing = count
    this.isWatched = count > 0 || this.#observer !== undefined
  }

  /** Who sees everything that is queued. */
  get observer(): OperationObserver | undefined {
    return this.#observer
  }

  set observer(observer: OperationObserver | undefined) {
    this.#observer = observer
    this.isWatched = this.#capturing > 0 || observer !== undefined
  }

  /** Every stream that has not been disposed of, the internal one included. */
  get live(): Iterable<StreamState> {
    return this.#live
  }

  /** Streams that have been disposed of and may still have work to do. */
  get retired(): Iterable<StreamState> {
    return this.#retired
  }

  /**
   * Whether calls about the whole device leave this stream's failure out. They never report internal streams. The user
   * cannot dispose of a stream that the library chose, so its failure is reported once only.
   */
  isSilent(state: StreamState): boolean {
    return state === this.#reaper || state === this.#source || (state.chosen && wasTold(state.failure))
  }

  createStream(priority: number, name: string): StreamState {
    this.reapRetired()
    return this.#enlist(new StreamState(this, this.driver.streams.create(priority), name, priority, false))
  }

  adoptStream(foreign: bigint, name: string): StreamState {
    const handle = this.driver.streams.adopt(foreign)
    return this.#enlist(new StreamState(this, handle, name, this.driver.streams.priorityOf(handle), true))
  }

  #enlist(state: StreamState): StreamState {
    this.#live.add(state)
    return state
  }

  /** The host has seen everything that this clock knows come to its end. */
  hostLearns(clock: VectorClock): void {
    this.hostClock.learn(clock)
  }

  /** The same, where the program has waited or asked for it. */
  programLearns(clock: VectorClock): void {
    this.hostClock.learn(clock)
    this.#observer?.synchronized(this, clock)
  }

  /** Ends a stream. What is queued on it goes on; its slot comes back when that is done. */
  disposeStream(state: StreamState): void {
    if (state.disposed) return
    if (state.capture !== undefined) return this.captures.defer(() => this.disposeStream(state))
    if (this.isCapturedByOthers(state)) return this.hold(() => this.disposeStream(state))
    this.freeWorkspace(state)
    if (!this.#markEnd(state)) return this.hold(() => this.disposeStream(state))
    this.#live.delete(state)
    state.disposed = true
    this.driver.streams.destroy(state.handle)
    this.#retired.add(state)
    this.reapRetired()
  }

  /** Frees the scratch memory of library calls in the stream's order. The next call allocates it anew. */
  freeWorkspace(state: StreamState): void {
    state.workspace?.dispose()
    state.workspace = undefined
  }

  /** False if it has to be tried again. */
  #markEnd(state: StreamState): boolean {
    let end: EventHandle | undefined
    try {
      end = this.events.acquire()
      this.driver.events.record(end, state.handle)
      state.end = end
      return true
    } catch (error) {
      if (end !== undefined) this.events.release(end)
      return error instanceof DeviceLostError // Nothing runs on it any more, so there is no end to wait for.
    }
  }

  /** Looks whether a few ended streams, in their turn, have come to the end of their work. */
  reapRetired(): void {
    if (this.capturing === 0) this.#retired.take((state) => this.#reap(state))
  }

  reapAllRetired(): void {
    if (this.capturing === 0) this.#retired.takeAll((state) => this.#reap(state))
  }

  #reap(state: StreamState): boolean {
    if (state.end === undefined || !this.hasPassed(state.end)) return state.end === undefined
    this.hostLearns(state.clock)
    this.events.release(state.end)
    state.end = undefined
    this.slots.release(state.slot, state.tick)
    return true
  }

  /** Is the event's record passed, or can it never be? */
  hasPassed(event: EventHandle): boolean {
    try {
      return this.driver.events.query(event)
    } catch (error) {
      // A broken stream and a lost device tell, too, that what was queued before is over. Nothing else does.
      return error instanceof KernelError || error instanceof DeviceLostError
    }
  }

  /** Does another library capture the stream, or may it? */
  isCapturedByOthers({ disposed, handle }: StreamState): boolean {
    try {
      return !disposed && this.driver.streams.isCapturedByOthers(handle)
    } catch (error) {
      return !(error instanceof DeviceLostError) // Asked again later.
    }
  }

  /** Is a user captured by another library? Until it has ended the capture, nobody can tell when the use is over. */
  areHeld(uses: readonly Use[]): boolean {
    return uses.some(({ stream }) => this.isCapturedByOthers(stream))
  }

  /** The internal stream that memory is freed on when no stream of the user's is ordered behind every use. */
  get reaper(): StreamState {
    this.#reaper ??= this.createStream(this.driver.priorities.least, "the internal stream that frees memory")
    return this.#reaper
  }

  /** The internal stream that graphs' memory comes from. It waits for nobody, so that no launch waits with it. */
  get source(): StreamState {
    this.#source ??= this.createStream(this.driver.priorities.least, "the internal stream of graphs' memory")
    return this.#source
  }

  /** Gives up an internal stream that was broken by what it waited for. */
  replaceReaper(): void {
    if (this.#reaper === undefined) return
    this.disposeStream(this.#reaper)
    this.#reaper = undefined
  }

  /** Gives something back outside every stream's order, once the uses are over and no capture is under way. */
  releaseAfter(uses: readonly Use[], release: () => void): void {
    if (this.closed) return release()
    this.captures.defer(() => {
      if (this.areHeld(uses)) this.hold(() => this.releaseAfter(uses, release))
      else this.deferredReleases.add(uses, release)
    })
  }

  /** Blocks until all queued work is done; then throws what has broken a stream that has not been disposed of. */
  synchronize(): void {
    const failures: unknown[] = []
    for (const state of this.#live) {
      const isSilent = this.isSilent(state)
      const failure = failureOf(() => this.#synchronizeOutside(state))
      if (failure !== undefined && !(isSilent && failure instanceof KernelError)) failures.push(failure)
    }
    for (const { end } of this.#retired) {
      const failure = end === undefined ? undefined : failureOf(() => this.driver.events.synchronize(end))
      if (failure !== undefined && !(failure instanceof KernelError)) failures.push(failure)
    }
    this.reapAllRetired()
    if (failures.length > 0) throw failures[0]
  }

  /** Has it tried again when something is made, in its turn. */
  hold(action: () => void): void {
    this.#held.push(action)
  }

  retryHeld(count = looks): void {
    if (this.#held.length > 0 && this.capturing === 0) for (const action of this.#held.splice(0, count)) action()
  }

  /**
   * Has the driver allocate something. If there is no memory, waits for everything that is about to be freed and tries
   * once more: every allocation behind the seam must be made through this.
   */
  allocate<T>(attempt: () => T): T {
    try {
      return attempt()
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error
      this.drainFrees()
      return attempt()
    }
  }

  /** Blocks until all that was freed can be used again, on streams, too, that have been captured since. */
  drainFrees(): void {
    if (this.capturing > 0) {
      for (const state of this.#live) if (state.capture !== undefined) failureOf(() => this.#synchronizeOutside(state))
    }
    this.retryHeld(this.#held.length)
    this.deferredReleases.drain()
    this.driver.memory.drainFrees()
  }

  /** Of a stream that is captured, what was queued before that. */
  #synchronizeOutside(state: StreamState): void {
    if (state.capture === undefined) {
      this.captures.checkNotOthers(state, "be synchronised")
      return this.synchronizeStream(state)
    }
    if (state.beforeCapture === undefined) return
    this.driver.events.synchronize(state.beforeCapture)
    this.driver.memory.noteIdle(state.outsideHandle)
    this.programLearns(state.outsideClock)
  }

  /** Is all that was queued done? Then the host knows. */
  queryStream(state: StreamState): boolean {
    let done: boolean
    try {
      done = this.driver.streams.query(state.handle)
    } catch (error) {
      noteBroken(state, state.tick, error)
      throw error
    }
    if (done) this.programLearns(state.clock)
    return done
  }

  /** The same for the library's own purposes: a broken stream is not done, and nobody is told. */
  isDone(state: StreamState): boolean {
    try {
      const done = this.driver.streams.query(state.handle)
      if (done) this.hostLearns(state.clock)
      return done
    } catch (error) {
      if (error instanceof KernelError) return false
      throw error
    }
  }

  synchronizeStream(state: StreamState): void {
    const { clock, tick } = state
    try {
      this.driver.streams.synchronize(state.handle)
    } catch (error) {
      noteBroken(state, tick, error)
      throw error
    }
    this.programLearns(clock)
  }

  /** Returns why work may be left on other libraries' streams whose end the driver does not see, if so. */
  close(): unknown {
    const unseen = failureOf(() => this.#awaitForeign())
    this.closed = true
    closeToObservers(this)
    for (const state of this.#live) {
      state.disposed = true
      this.driver.streams.destroy(state.handle)
    }
    this.#live.clear()
    for (const state of this.#retired) if (state.end !== undefined) this.driver.events.destroy(state.end)
    this.#retired.clear()
    this.events.close()
    return unseen
  }

  /** The driver is closed: everything is its to give back, behind its last work. */
  releaseAll(): void {
    for (const action of this.#held.splice(0)) action()
    this.deferredReleases.close()
  }

  /**
   * Makes one of our own streams wait for the work on other libraries' streams. The driver sees only the ends of our own
   * streams, and frees what is left behind them.
   */
  #awaitForeign(): void {
    for (const state of this.#live) {
      if (!state.foreign) continue
      if (!this.isCapturedByOthers(state)) this.reaper.waitFor(state)
      else if (!this.hostClock.isAfter(state.slot, state.tick)) this.captures.checkNotOthers(state, "be waited for")
    }
    for (const { foreign, end } of this.#retired) {
      if (foreign && end !== undefined) this.driver.streams.wait(this.reaper.handle, end)
    }
  }
}

/** A kernel's failure was seen on a stream: what had been queued there by then is over all the same. */
export function noteBroken(state: StreamState, tick: number, error: unknown): void {
  if (error instanceof KernelError) state.brokenAt = Math.max(state.brokenAt, tick)
  tell(error)
}

/** What a call throws, if anything. */
function failureOf(call: () => void): unknown {
  try {
    call()
    return undefined
  } catch (error) {
    return error
  }
}
