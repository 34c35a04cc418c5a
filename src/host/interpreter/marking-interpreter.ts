import type { RunMark } from "../control/run-mark.js"
import { Interpreter, type Surroundings } from "./interpreter.js"
import type { Launched } from "./operations.js"

/** Marks each launch while it runs. A class of its own, so that devices without a time limit do nothing for it. */
export class MarkingInterpreter extends Interpreter {
  readonly #mark: RunMark

  constructor(at: Surroundings, mark: RunMark) {
    super(at)
    this.#mark = mark
  }

  override launch(stream: number, read: number): Launched {
    this.#mark.begin(stream)
    const launched = super.launch(stream, read)
    this.#mark.end()
    return launched
  }
}
