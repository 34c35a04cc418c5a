import type { DroppableLaunch } from "../../driver/kernels.js"
import type { ControlMemory } from "../control/control.js"
import type { HostStream } from "./stream.js"

/** A queued launch that can be dropped until it begins. */
export class QueuedLaunch implements DroppableLaunch {
  readonly #position: number
  readonly #control: ControlMemory
  readonly #stream: HostStream
  readonly #flag: number

  /** @param flag the index of the word that drops it */
  constructor(control: ControlMemory, stream: HostStream, flag: number) {
    this.#control = control
    this.#stream = stream
    this.#flag = flag
    this.#position = stream.slot.tail
  }

  get isOver(): boolean {
    return this.#stream.hasPassed(this.#position)
  }

  /** Safe while the launch is not over: only this thread reuses the queue's memory, and not before. */
  drop(reason: unknown): void {
    if (this.isOver) return
    this.#stream.dropReason = reason
    Atomics.store(this.#control.words, this.#flag, 1)
  }
}
