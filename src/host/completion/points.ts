import type { Completion } from "./completion.js"
import type { Failures } from "../queue/failures.js"
import type { Loss } from "../control/loss.js"
import type { HostStream } from "../queue/stream.js"

/** After this many queries of unfinished work, one checks whether the workers are alive, which takes microseconds. */
const LOOKS_PER_CHECK = 256

/** Queries positions of streams and waits for them, on the opening thread. */
export class Points {
  private looks = 0

  constructor(
    private readonly completion: Completion,
    private readonly failures: Failures,
    private readonly loss: Loss,
  ) {}

  /** Whether a position has been passed. @throws KernelError if the stream broke before it */
  query(stream: HostStream, position: number): boolean {
    if (stream.hasPassed(position)) {
      this.check(stream, position)
      return true
    }
    if (++this.looks % LOOKS_PER_CHECK === 0) this.loss.find()
    this.loss.check()
    return false
  }

  /** Blocks until a position has been passed. Throws like {@link query}. */
  synchronize(stream: HostStream, position: number): void {
    this.completion.block(stream, position)
    this.check(stream, position)
  }

  private check(stream: HostStream, position: number): void {
    const error = this.failures.before(stream, position)
    if (error !== undefined) throw error
  }
}
