import type { DeviceProperties } from "../common/facts/device-properties.js"
import type { CheckOptions, Checks } from "../driver/checks.js"
import type { Driver } from "../driver/driver.js"
import type { LaunchLimits } from "../driver/kernels.js"
import type { TimeSource, Timeline, TimelineSink } from "../driver/timeline.js"
import { type DeviceLostError, DisposedError, KernelError } from "../common/errors.js"
import { CheckedGraphs } from "./checks/checked-graphs.js"
import { CheckedKernels } from "./checked-kernels.js"
import { CheckSession } from "./checks/check-session.js"
import { Completion } from "./completion/completion.js"
import { ControlMemory } from "./control/control.js"
import { Failures } from "./queue/failures.js"
import { hostProperties } from "./facts.js"
import type { HostEvents } from "./completion/events.js"
import { HostGraphs } from "./graph/graphs.js"
import { HostKernels } from "./kernels.js"
import type { HostMemory } from "./memory/host-memory.js"
import type { HostStreams } from "./streams.js"
import { KeepAlive } from "./control/keep-alive.js"
import { KernelTable } from "./threads/kernel-table.js"
import { CLOSING, KERNEL, LEVELS, LIFE, wordAt } from "./control/layout.js"
import { LaunchWatch, type Limits } from "./threads/launch-watch.js"
import { Loss } from "./control/loss.js"
import { DeviceMemory, LIMIT } from "./control/memory.js"
import { type HostParts, partsOf } from "./parts.js"
import type { Report } from "./kernel/reports.js"
import type { Thrown } from "./kernel/thrown.js"
import { Scheduler } from "./schedule/scheduler.js"
import { HostTimeline } from "./timeline/host-timeline.js"
import { TimeRings } from "./control/time-rings.js"
import { systemMemory } from "./memory/system-memory.js"
import { StreamTable } from "./queue/stream-table.js"
import { type PoolEvents, WorkerPool } from "./threads/worker-pool.js"
import { warn } from "../common/warn.js"
import { microtask } from "../common/timers.js"

/** CUDA's limits, so that a program that runs on the host device also runs on a GPU. */
const LIMITS: LaunchLimits = {
  threadsPerBlock: 1024,
  block: [1024, 1024, 64],
  grid: [2147483647, 65535, 65535],
  sharedMemory: 232448,
}

/** With a time limit for launches, loading a kernel may take at least this long, in milliseconds: it reads files. */
const LEAST_LOAD_TIMEOUT = 10_000

/**
 * The host device, as the thread that opened it sees it. This thread only writes commands into shared memory; worker
 * threads run them. It must never be needed between queueing and completion: it may be blocked meanwhile.
 */
export class HostDriver implements Driver {
  readonly kind = "host"
  readonly limits = LIMITS
  readonly priorities = { least: 0, greatest: 1 - LEVELS }
  readonly threads: number
  readonly launchTimeout: number | undefined
  readonly name: string
  readonly properties: DeviceProperties

  readonly streams: HostStreams
  readonly events: HostEvents
  readonly memory: HostMemory
  /** While launches are checked, these two are others. */
  kernels: HostKernels
  graphs: HostGraphs

  /** The memory that all its threads share. */
  readonly control = ControlMemory.create()
  /** A worker that died while it held the scheduler's lock never unlocks it, so a late lock asks for the loss. */
  readonly #scheduler = new Scheduler(this.control, () => this.#queryLoss())
  readonly #pool: WorkerPool
  readonly #failures = new Failures(() => this.#pool.drain())
  readonly #loss: Loss
  readonly #completion: Completion
  readonly #kernels: KernelTable
  readonly #streams = new StreamTable(this.control, this.#failures)
  /** Undefined if launches have no time limit. */
  readonly #watch: LaunchWatch | undefined
  readonly #parts: HostParts
  #session: CheckSession | undefined

  /** @param launchTimeout the most milliseconds that a launch may run */
  constructor(threads: number, cores: number, name: string, launchTimeout?: number) {
    this.threads = threads
    this.launchTimeout = launchTimeout
    this.name = name
    const total = Math.min(LIMIT, systemMemory())
    this.properties = hostProperties(threads, LIMITS, total)
    const { control } = this
    const failures = this.#failures
    const memory = DeviceMemory.create()
    const marks = launchTimeout !== undefined
    const rings = new TimeRings(control)
    const poolEvents: PoolEvents = {
      reported: (report, block) => this.#hear(report, block),
      died: (reason, block, cause) => this.#declareDeath(reason, block, cause),
      failedToStart: () => this.#kernels.askAgain(),
    }
    const spinners = Math.max(1, cores - 1)
    this.#pool = new WorkerPool(threads, spinners, marks, control, memory, this.#scheduler, poolEvents, rings)
    const look = () => {
      this.#pool.findDead()
      this.#watch?.look()
    }
    this.#loss = new Loss(control, look, (error) => this.#failAll(error))
    if (launchTimeout !== undefined) this.#watch = this.#watchLaunches(launchTimeout)
    const keepAlive = new KeepAlive(() => this.#lookAfter())
    this.#kernels = new KernelTable(this.#pool, keepAlive, () => this.memory)
    this.#completion = new Completion(control, keepAlive, failures, this.#loss, cores)

    const parts = partsOf({
      ...{ control, memory, total, rings, failures, limits: LIMITS, threads },
      ...{ streams: this.#streams, scheduler: this.#scheduler, pool: this.#pool },
      ...{ loss: this.#loss, completion: this.#completion, kernels: this.#kernels },
    })
    this.streams = parts.streams
    this.events = parts.events
    this.memory = parts.memory
    this.kernels = new HostKernels(parts.kernels)
    this.graphs = new HostGraphs(parts.graphs)
    this.#parts = parts
  }

  startChecks(options: CheckOptions): Checks {
    const { kernels, graphs } = this
    const session = new CheckSession(options, this.#parts.session, () => {
      checkedGraphs.end()
      this.kernels = kernels
      this.graphs = graphs
    })
    const checkedGraphs = new CheckedGraphs(this.#parts.graphs, session)
    if (session.checksLaunches) {
      this.kernels = new CheckedKernels(this.#parts.kernels, session)
      this.graphs = checkedGraphs
    }
    this.#session = session
    return session
  }

  /** Does nothing: nothing is loaded lazily. */
  async prepare(): Promise<void> {}

  startTimeline(sink: TimelineSink, _source: TimeSource | undefined, capacity: number): Timeline {
    return new HostTimeline(this.#parts.timeline, sink, capacity)
  }

  close(): void {
    if (Atomics.compareExchange(this.control.words, LIFE, 0, CLOSING) !== 0) return
    this.#pool.end()
    this.#scheduler.wakeAll()
    this.#kernels.failAll(new DisposedError("The host device was disposed of while the kernel was being prepared."))
    this.#completion.stop()
  }

  /** @throws DeviceLostError */
  #queryLoss(): void {
    const loss = this.#loss.find()
    if (loss !== undefined) throw loss
  }

  #hear(report: Report, block: number): void {
    if (report.kind === "loaded") this.#kernels.loaded(report.kernel, block, report.thrown)
    else if (report.kind === "stray") warnOfStray(report.kernel, report.thrown)
    else if (report.kind === "violated") this.#session?.hear(report)
    else if (report.kind !== "posted") this.#failures.note(report)
  }

  #lookAfter(): void {
    this.#pool.findDead(true)
    this.#completion.pump()
  }

  #declareDeath(reason: string, worker: number, cause: Error | undefined): void {
    const kernel = this.#kernels.nameOf(wordAt(this.control.words, worker + KERNEL))
    const last = kernel === undefined ? "" : ` The last kernel that it loaded or ran was "${kernel}".`
    const message = `a worker thread ${reason}.${last}`
    this.#loss.declare(message, cause ?? new Error(message))
  }

  #watchLaunches(launch: number): LaunchWatch {
    const limits = { launch, load: Math.max(launch, LEAST_LOAD_TIMEOUT) }
    return new LaunchWatch(
      this.control,
      limits,
      () => this.#pool.blocks(),
      ({ kernel, stream }) => {
        const name = this.#kernels.nameOf(kernel) ?? ""
        const message = overdueText(name, this.#streams.nameOf(stream), limits)
        this.#loss.declare(message, new KernelError(message, name, ""))
      },
    )
  }

  #failAll(loss: DeviceLostError): void {
    this.#watch?.stop()
    this.#pool.end()
    this.#pool.terminate()
    microtask(() => {
      this.#completion.failAll(loss)
      this.#kernels.failAll(loss)
      this.#completion.stop()
    })
  }
}

/** @param stream undefined if the kernel was still being loaded */
function overdueText(kernel: string, stream: string | undefined, { launch, load }: Limits): string {
  if (stream === undefined) return `kernel "${kernel}" was still being loaded after ${load} ms.`
  return `kernel "${kernel}" ran on ${stream} for longer than \`launchTimeout\` (${launch} ms).`
}

function warnOfStray(kernel: string, { stack }: Thrown): void {
  warn(
    "AUX_KERNEL_STRAY",
    `A kernel's code failed on a worker thread of the host device after the kernel had returned. This breaks no stream. ` +
      `The last kernel on that thread was "${kernel}". ${stack}`,
  )
}
