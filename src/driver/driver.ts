/**
 * One device: the interface that each driver implements, and the rules for all its parts. Timelines, checks and captures
 * have further rules at the heads of their files.
 *
 * ## Order
 *
 * - A stream runs its operations one after another, in the order of the calls. Two streams are ordered only by waits.
 * - `events.record(event, stream)` marks the point after everything queued on `stream` so far. A second record replaces
 *   the first; waits queued before it keep their point.
 * - `streams.wait(stream, event)` binds to the latest record *at the call*. Everything queued on `stream` later runs after
 *   that point. Waiting for an event that was never recorded does nothing.
 * - `allocate` and `free` are operations of their stream, too. The address is known at once, but the memory belongs to the
 *   caller only between these two places in the stream's order. A driver may reuse memory when its `free` is over, on the
 *   same stream, or when `happensBefore` says that the `free` is ordered before the allocation. It must never make a stream
 *   wait for another one by itself.
 * - The birth of memory is the place of its `allocate` in the stream's order or, after `noteContents`, the place of that
 *   call. Another stream must call `orderBehindBirth` before it uses the memory. That orders it after the birth and after
 *   nothing else.
 * - The calling thread is ordered only by `synchronize…`, by a `query…` that returned true, and by a settled
 *   `events.whenComplete`.
 *
 * ## Queueing
 *
 * A method that queues an operation must never wait for queued work. The caller has checked every argument, so a driver
 * only refuses what the device itself refuses. The source and destination of a `copy` must stay valid until the stream has
 * passed it. `upload` has read its source when it returns.
 *
 * A method that finds no memory, for arrays, pinned memory or staging, must throw `OutOfMemoryError` without waiting. The
 * runtime then calls `drainFrees` and retries once.
 *
 * ## Failures
 *
 * - A call that throws must have queued nothing and created nothing.
 * - If a `query…`, `synchronize…` or `whenComplete` fails, its point has still been reached: everything ordered before it
 *   is over or was skipped.
 * - A failure of queued work is reported later: by `query…`, `synchronize…`, `whenComplete`, and by the next call that
 *   queues on the broken stream. The device decides which streams a failure breaks. On CUDA it breaks all of them.
 * - If a failure breaks only its own stream, the later operations of that stream are skipped, and the contents they should
 *   have written are undefined. The runtime finds these through `streams.watchFailures` and prevents their use.
 * - When the device is lost, `close`, `destroy…` and `free…` return quietly. Every other method throws `DeviceLostError`
 *   with the first failure as its cause, and pending `whenComplete` callbacks are called with it.
 *
 * ## Threads
 *
 * A driver belongs to the JavaScript thread that opened it. It must not rely on thread state that other code may change,
 * such as CUDA's current context. Callbacks are called on that thread, never inside a call of a driver method.
 */
import type { DeviceProperties } from "../common/facts/device-properties.js"
import type { CheckOptions, Checks } from "./checks.js"
import type { DriverEvents } from "./events.js"
import type { DriverGraphs } from "./graphs.js"
import type { DriverKernels, LaunchLimits } from "./kernels.js"
import type { DriverMemory } from "./memory.js"
import type { ProductLibrary } from "./products.js"
import type { DriverStreams } from "./streams.js"
import type { Timeline, TimelineSink, TimeSource } from "./timeline.js"

/** One device. The head of this file has the rules for every method. */
export interface Driver {
  readonly kind: "cuda" | "host"
  /** The manufacturer's name of the device. */
  readonly name: string
  readonly limits: LaunchLimits
  /** A frozen object, always the same. */
  readonly properties: DeviceProperties
  /** The number of worker threads, on devices whose streams run on worker threads. */
  readonly threads?: number
  /** The milliseconds that a kernel may run, on devices that were opened with a limit. */
  readonly launchTimeout?: number | undefined
  /** Lower numbers run first. `greatest` is the lowest number; `least` is 0. */
  readonly priorities: { readonly least: number; readonly greatest: number }

  readonly streams: DriverStreams
  readonly events: DriverEvents
  readonly memory: DriverMemory
  readonly kernels: DriverKernels
  readonly graphs: DriverGraphs
  /** The device's library for matrix products; absent if it has none. */
  readonly products?: ProductLibrary

  /**
   * Starts a timeline. There is at most one at a time. Absent if the device cannot tell times.
   *
   * @param source where the times should come from. A source that this machine lacks is replaced by another
   * @param capacity how many records each buffer has room for
   */
  startTimeline?(sink: TimelineSink, source: TimeSource | undefined, capacity: number): Timeline

  /**
   * Shows a range of the host's time in the device's profilers, until the returned function is called. Ranges may overlap.
   * Absent, or gives undefined, if no library can show it.
   */
  startRange?(name: string): (() => void) | undefined

  /**
   * Starts to check work that is queued from now on. There is at most one such check at a time. Absent if the device cannot
   * check anything.
   */
  startChecks?(options: CheckOptions): Checks

  /**
   * Prepares what the device would otherwise prepare at the first use, when some devices must wait for all queued work.
   * Does not block the event loop.
   */
  prepare(needs: PreparedNeeds): Promise<void>
  /**
   * Lets queued work finish, then frees everything. Never blocks. Pending `whenComplete` callbacks are still called. No
   * other method except `memory.freePinned` may be called afterwards.
   *
   * @param unseen why a foreign stream may have work that the driver cannot see. Then the memory that this work may use is
   * leaked, with a warning.
   */
  close(unseen?: unknown): void
}

/** What {@link Driver.prepare} prepares. */
export interface PreparedNeeds {
  /** Whether `beginConditional` will be called. */
  readonly conditionals: boolean
  /** Bytes of local memory for each thread of a kernel. */
  readonly localMemory: number
  /** The number of streams that will exist at once. */
  readonly streams: number
}
