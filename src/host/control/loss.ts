import { DeviceLostError } from "../../common/errors.js"
import type { ControlMemory } from "./control.js"
import { LIFE, LOST } from "./layout.js"

/** Whether the device is lost because a worker died or a launch ran too long, and the error that says so. */
export class Loss {
  /** Undefined unless the device is lost. */
  error: DeviceLostError | undefined
  readonly #control: ControlMemory
  readonly #find: () => void
  readonly #whenLost: (error: DeviceLostError) => void

  /**
   * @param find declares the loss if there is a reason for it
   * @param whenLost is called once, when nothing runs on the device any more
   */
  constructor(control: ControlMemory, find: () => void, whenLost: (error: DeviceLostError) => void) {
    this.#control = control
    this.#find = find
    this.#whenLost = whenLost
  }

  /** @throws DeviceLostError */
  check(): void {
    if (this.error !== undefined) throw this.error
  }

  /** Checks whether all workers are alive and no launch runs too long, which takes microseconds. */
  find(): DeviceLostError | undefined {
    if (this.error === undefined) this.#find()
    return this.error
  }

  /** @param what happened, in sentences */
  declare(what: string, cause: Error): void {
    if (this.error !== undefined) return
    this.error = new DeviceLostError(`The host device is lost: ${what} Dispose of the device and open it again.`, {
      cause,
    })
    Atomics.store(this.#control.words, LIFE, LOST)
    this.#whenLost(this.error)
  }
}
