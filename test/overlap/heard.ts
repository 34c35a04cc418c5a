import { subscribe, unsubscribe } from "node:diagnostics_channel"
import type { ParallelMessage } from "../../src/index.js"

/** The messages of the fork-joins, until it is disposed of. */
export class Heard {
  readonly #messages: ParallelMessage[] = []
  readonly #note = (message: unknown) => void this.#messages.push(message as ParallelMessage)

  constructor() {
    subscribe("auxstream:parallel", this.#note)
  }

  /** Those since the last call. */
  take(): ParallelMessage[] {
    return this.#messages.splice(0)
  }

  [Symbol.dispose](): void {
    unsubscribe("auxstream:parallel", this.#note)
  }
}
