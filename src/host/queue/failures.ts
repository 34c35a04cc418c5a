import type { StreamFailures } from "../../driver.js"
import { KernelError } from "../../common/errors.js"
import type { FailureReport } from "../kernel/reports.js"
import type { HostStream, StreamSlot } from "./stream.js"

/** What broke which stream. The workers' reports become errors when somebody asks. */
export class Failures {
  private readonly slots = new Map<number, StreamSlot>()
  private readonly reports = new Map<number, FailureReport>()

  /** @param drain reads all reports that have been made */
  constructor(private readonly drain: () => void) {}

  addSlot(slot: StreamSlot): void {
    this.slots.set(slot.block, slot)
  }

  note(report: FailureReport): void {
    this.reports.set(report.stream, report)
  }

  /** What broke a stream; undefined if nothing has. */
  of(stream: HostStream): KernelError | undefined {
    if (stream.error === undefined && stream.slot.owner === stream && stream.slot.isBroken()) {
      this.drain()
      stream.brokenAt = stream.slot.brokenAt()
      stream.error = this.resolve(stream)
    }
    return stream.error
  }

  /** What broke a stream before a position. */
  before(stream: HostStream, position: number): KernelError | undefined {
    const error = this.of(stream)
    return error !== undefined && stream.brokenAt <= position ? error : undefined
  }

  /** The failures of one stream alone. */
  watch(stream: HostStream): StreamFailures {
    return new Watch(this, stream)
  }

  /**
   * A number under which a worker can name what is to break a stream, as only this thread still knows it. The stream
   * alone holds the error: one list for all of them would only grow.
   */
  tell({ told }: HostStream, error: KernelError): number {
    const known = told.indexOf(error)
    return known >= 0 ? known : told.push(error) - 1
  }

  /** Forgets what is known about a slot's former owner. */
  forget(slot: StreamSlot): void {
    this.reports.delete(slot.block)
  }

  private resolve({ slot, told, dropReason }: HostStream): KernelError | undefined {
    const report = this.reports.get(slot.block)
    if (report === undefined) return undefined
    if (report.kind === "failed") {
      const { kernel, thrown } = report
      return new KernelError(
        `kernel "${kernel}" failed on the host device: ${thrown.text}; its stream stays broken until it is disposed of`,
        kernel,
        thrown.stack,
      )
    }
    if (report.kind === "dropped") return dropped(report.kernel, dropReason)
    if (report.kind === "told") return waitedFor(told[report.failure])
    const owner = this.slots.get(report.cause)?.owner
    const first = owner === undefined ? undefined : this.of(owner)
    // What happens in a graph happens on the stream that it was launched on: its branches are nobody's streams.
    return owner?.internal === true ? first : waitedFor(first)
  }
}

class Watch implements StreamFailures {
  constructor(
    private readonly failures: Failures,
    private readonly stream: HostStream,
  ) {}

  get arePossible(): boolean {
    return this.stream.slot.isAnyBroken()
  }

  get position(): number {
    return this.stream.slot.tail
  }

  hasPassed(position: number): boolean {
    return this.stream.hasPassed(position)
  }

  before(position: number): KernelError | undefined {
    const { error, slot } = this.stream
    if (error === undefined && !slot.isBroken()) return undefined
    return this.failures.before(this.stream, position)
  }
}

/** The error of a launch that its signal has dropped. */
function dropped(kernel: string, reason: unknown): KernelError {
  return new KernelError(
    `kernel "${kernel}" was dropped before it began, as its signal aborted; its stream stays broken until it is disposed of`,
    kernel,
    "",
    { cause: reason },
  )
}

/** The error of a stream that has waited for a failed one. Its cause is the very first failure. */
function waitedFor(error: KernelError | undefined): KernelError | undefined {
  if (error === undefined) return undefined
  const first = error.cause instanceof KernelError ? error.cause : error
  return new KernelError(
    `the stream waited for another one that is broken, and is broken itself: ${first.message}`,
    first.kernel,
    first.kernelStack,
    {
      cause: first,
    },
  )
}
