import type { Completion } from "./completion.js"
import type { Failures } from "./failures.js"
import type { Loss } from "../control/loss.js"
import type { HostStream } from "./stream.js"

/** How many times something was not done yet before the workers' health is looked at: that takes microseconds. */
const LOOKS_PER_CHECK = 256

/** Asks and waits, on the opening thread, whether streams have come to positions. */
export class Points {
  private looks = 0

  constructor(
    private readonly completion: Completion,
    private readonly failures: Failures,
    private readonly loss: Loss,
  ) {}

  /** Has it been passed? Throws what broke the stream before it. */
  query(stream: HostStream, position: number): boolean {
    if (stream.hasPassed(position)) {
      this.check(stream, position)
      return true
    }
    if (++this.looks % LOOKS_PER_CHECK === 0) this.loss.find()
    this.loss.check()
    return false
  }

  /** Blocks until it has been passed. Throws as `query` does. */
  synchronize(stream: HostStream, position: number): void {
    this.completion.block(stream, position)
    this.check(stream, position)
  }

  private check(stream: HostStream, position: number): void {
    const error = this.failures.before(stream, position)
    if (error !== undefined) throw error
  }
}
