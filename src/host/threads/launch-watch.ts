import type { ControlMemory } from "../control/control.js"
import { KERNEL, RUNS, RUN_STREAM, wordAt } from "../control/layout.js"
import { clearInterval, now, setInterval } from "../../common/timers.js"

/** A launch that ran longer than the limit. */
export interface Overdue {
  readonly kernel: number
  /** The control block of its stream; 0 if the kernel was still being loaded. */
  readonly stream: number
}

/** The milliseconds that a launch may run, and that the loading of a kernel may take. */
export interface Limits {
  readonly launch: number
  readonly load: number
}

/** Milliseconds between two looks of the event loop. */
const LEAST_PERIOD = 5
const LONGEST_PERIOD = 250

/**
 * Finds launches that run longer than the device's limit. Workers only count (see `RunMark`); the opening thread looks at
 * the counts, from a timer while its event loop runs, and from blocking calls. A launch counts from the first look that
 * sees it, so it is never found early.
 */
export class LaunchWatch {
  readonly #control: ControlMemory
  readonly #limits: Limits
  readonly #workers: () => readonly number[] | undefined
  readonly #found: (launch: Overdue) => void
  /** What each worker ran when it was first seen doing so, and when that was. */
  readonly #seen = new Map<number, { readonly run: number; readonly since: number }>()
  readonly #timer: NodeJS.Timeout

  /**
   * @param workers the workers' control blocks; undefined once there will be none
   * @param found is called for an overdue launch, once
   */
  constructor(
    control: ControlMemory,
    limits: Limits,
    workers: () => readonly number[] | undefined,
    found: (launch: Overdue) => void,
  ) {
    this.#control = control
    this.#limits = limits
    this.#workers = workers
    this.#found = found
    this.#timer = setInterval(() => this.look(), Math.min(LONGEST_PERIOD, Math.max(LEAST_PERIOD, limits.launch / 4)))
    this.#timer.unref()
  }

  look(): void {
    const workers = this.#workers()
    if (workers === undefined) return this.stop()
    for (const worker of workers) {
      const overdue = this.#lookAt(worker)
      if (overdue === undefined) continue
      this.stop()
      this.#found(overdue)
      return
    }
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#seen.clear()
  }

  #lookAt(worker: number): Overdue | undefined {
    const { words } = this.#control
    const run = Atomics.load(words, worker + RUNS)
    const isRunning = (run & 1) === 1
    const seen = this.#seen.get(worker)
    if (!isRunning || seen?.run !== run) {
      if (isRunning) this.#seen.set(worker, { run, since: now() })
      else this.#seen.delete(worker)
      return undefined
    }
    const stream = wordAt(words, worker + RUN_STREAM)
    if (now() - seen.since < (stream === 0 ? this.#limits.load : this.#limits.launch)) return undefined
    const kernel = wordAt(words, worker + KERNEL)
    // The kernel may have ended meanwhile, and another one begun.
    return Atomics.load(words, worker + RUNS) === run ? { kernel, stream } : undefined
  }
}
