import type { StreamFailures } from "../../driver/streams.js"
import { KernelError } from "../../common/errors.js"
import type { FailureReport } from "../kernel/reports.js"
import type { HostStream, StreamSlot } from "./stream.js"
import { Violations } from "./violations.js"

/** Why each broken stream broke. A worker's report becomes an error when it is first read. */
export class Failures {
  readonly #slots = new Map<number, StreamSlot>()
  readonly #reports = new Map<number, FailureReport>()
  readonly #drain: () => void
  /** The calls that queued checked operations. */
  readonly violations = new Violations()

  /** @param drain reads all reports that workers have posted */
  constructor(drain: () => void) {
    this.#drain = drain
  }

  addSlot(slot: StreamSlot): void {
    this.#slots.set(slot.block, slot)
  }

  note(report: FailureReport): void {
    this.#reports.set(report.stream, report)
  }

  /** Why a stream broke; undefined if it has not. */
  of(stream: HostStream): KernelError | undefined {
    if (stream.error === undefined && stream.slot.owner === stream && stream.slot.isBroken()) {
      this.#drain()
      stream.brokenAt = stream.slot.brokenAt()
      stream.error = this.#resolve(stream)
    }
    return stream.error
  }

  /** Why a stream broke before a position; undefined if it did not. */
  before(stream: HostStream, position: number): KernelError | undefined {
    const error = this.of(stream)
    return error !== undefined && stream.brokenAt <= position ? error : undefined
  }

  /** The failures of one stream alone. */
  watch(stream: HostStream): StreamFailures {
    return new Watch(this, stream)
  }

  /**
   * A number for an error. A worker reports it when it breaks the stream, because only this thread has the error itself.
   * Each stream has its own list of errors, because one list for all streams would only grow.
   */
  tell({ told }: HostStream, error: KernelError): number {
    const known = told.indexOf(error)
    return known >= 0 ? known : told.push(error) - 1
  }

  /** Forgets the failure of a slot's former stream. */
  forget(slot: StreamSlot): void {
    this.#reports.delete(slot.block)
  }

  #resolve({ slot, told, dropReason }: HostStream): KernelError | undefined {
    const report = this.#reports.get(slot.block)
    if (report === undefined) return undefined
    if (report.kind === "failed") {
      const { kernel, thrown } = report
      if (thrown.violation !== undefined) return this.violations.errorOf(kernel, thrown.violation, true)
      return new KernelError(
        `Kernel "${kernel}" failed on the host device: ${thrown.text}. Its stream stays broken until you dispose of it.`,
        kernel,
        thrown.stack,
      )
    }
    if (report.kind === "dropped") return dropped(report.kernel, dropReason)
    if (report.kind === "told") return waitedFor(told[report.failure])
    const owner = this.#slots.get(report.cause)?.owner
    const first = owner === undefined ? undefined : this.of(owner)
    // To the user, a graph's failure belongs to the stream that it was launched on, so it is not wrapped.
    return owner?.internal === true ? first : waitedFor(first)
  }
}

class Watch implements StreamFailures {
  readonly #failures: Failures
  readonly #stream: HostStream
  /** The stream's slot. Each launch uses it, and this saves a step to it. */
  readonly #slot: StreamSlot

  constructor(failures: Failures, stream: HostStream) {
    this.#failures = failures
    this.#stream = stream
    this.#slot = stream.slot
  }

  get arePossible(): boolean {
    return this.#slot.isAnyBroken()
  }

  get position(): number {
    return this.#slot.tail
  }

  hasPassed(position: number): boolean {
    return this.#stream.hasPassed(position)
  }

  before(position: number): KernelError | undefined {
    const { error, slot } = this.#stream
    if (error === undefined && !slot.isBroken()) return undefined
    return this.#failures.before(this.#stream, position)
  }
}

/** The error of a launch that its signal dropped. */
function dropped(kernel: string, reason: unknown): KernelError {
  return new KernelError(
    `Kernel "${kernel}" was dropped because its signal aborted before it began. Its stream stays broken until you dispose of it.`,
    kernel,
    "",
    { cause: reason },
  )
}

/** The error of a stream that waited for a failed one. Its cause is the first failure. */
function waitedFor(error: KernelError | undefined): KernelError | undefined {
  if (error === undefined) return undefined
  const first = error.cause instanceof KernelError ? error.cause : error
  return new KernelError(
    `This stream is broken because it waited for the result of kernel "${first.kernel}" on another stream: ${first.message}`,
    first.kernel,
    first.kernelStack,
    {
      cause: first,
    },
  )
}
