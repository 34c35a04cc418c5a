import type { ControlMemory } from "./control.js"
import { RUNS, RUN_STREAM } from "./layout.js"

/** Tells the opening thread that a worker runs a launch. Exists only if launches have a time limit. */
export class RunMark {
  #runs = 0
  readonly #control: ControlMemory
  readonly #block: number

  /** @param block the worker's control block */
  constructor(control: ControlMemory, block: number) {
    this.#control = control
    this.#block = block
  }

  /** @param stream the launch's stream, or 0 while a kernel is loaded */
  begin(stream: number): void {
    const { words } = this.#control
    words[this.#block + RUN_STREAM] = stream
    Atomics.store(words, this.#block + RUNS, (this.#runs = (this.#runs + 1) | 0))
  }

  end(): void {
    Atomics.store(this.#control.words, this.#block + RUNS, (this.#runs = (this.#runs + 1) | 0))
  }
}
