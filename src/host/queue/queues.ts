import type { StreamHandle } from "../../driver/handles.js"
import type { Loss } from "../control/loss.js"
import type { Scheduler } from "../schedule/scheduler.js"
import type { WorkerPool } from "../threads/worker-pool.js"
import type { Failures } from "./failures.js"
import type { HostStream } from "./stream.js"
import type { StreamTable } from "./stream-table.js"

/**
 * The streams' queues as the parts of the driver use them. Each call of the driver checks here first that the device is not
 * lost, and each call that queues work checks that its stream is not broken.
 */
export class Queues {
  readonly #streams: StreamTable
  readonly #failures: Failures
  readonly #loss: Loss
  readonly #scheduler: Scheduler
  readonly #pool: WorkerPool

  constructor(streams: StreamTable, failures: Failures, loss: Loss, scheduler: Scheduler, pool: WorkerPool) {
    this.#streams = streams
    this.#failures = failures
    this.#loss = loss
    this.#scheduler = scheduler
    this.#pool = pool
  }

  get isLost(): boolean {
    return this.#loss.error !== undefined
  }

  /** @throws DeviceLostError */
  check(): void {
    this.#loss.check()
  }

  get(handle: StreamHandle): HostStream {
    return this.#streams.get(handle)
  }

  /** The stream with this handle. @throws KernelError if it is broken, so that no work can be queued on it */
  usable(handle: StreamHandle): HostStream {
    this.#loss.check()
    const stream = this.#streams.get(handle)
    if (stream.slot.isBroken()) this.#checkWhole(stream)
    return stream
  }

  #checkWhole(stream: HostStream): void {
    const error = this.#failures.of(stream)
    if (error !== undefined) throw error
  }

  /** Has a worker run what has been queued on the stream. */
  submit(stream: HostStream): void {
    if (this.#scheduler.submit(stream.slot.block)) this.#pool.serve()
  }
}
