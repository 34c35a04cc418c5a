import type { Completion } from "./completion.js"
import type { Failures } from "../queue/failures.js"
import type { Loss } from "../control/loss.js"
import type { HostStream } from "../queue/stream.js"

/** After this many queries of unfinished work, one checks whether the workers are alive, which takes microseconds. */
const LOOKS_PER_CHECK = 256

/** Queries positions of streams and waits for them, on the opening thread. */
export class Points {
  #looks = 0
  readonly #completion: Completion
  readonly #failures: Failures
  readonly #loss: Loss

  constructor(completion: Completion, failures: Failures, loss: Loss) {
    this.#completion = completion
    this.#failures = failures
    this.#loss = loss
  }

  /** Whether a position has been passed. @throws KernelError if the stream broke before it */
  query(stream: HostStream, position: number): boolean {
    if (stream.hasPassed(position)) {
      this.#check(stream, position)
      return true
    }
    if (++this.#looks % LOOKS_PER_CHECK === 0) this.#loss.find()
    this.#loss.check()
    return false
  }

  /** Blocks until a position has been passed. Throws like {@link query}. */
  synchronize(stream: HostStream, position: number): void {
    this.#completion.block(stream, position)
    this.#check(stream, position)
  }

  #check(stream: HostStream, position: number): void {
    const error = this.#failures.before(stream, position)
    if (error !== undefined) throw error
  }
}
