import { DeviceLostError } from "../../common/errors.js"
import type { ControlMemory } from "./control.js"
import { LIFE, LOST } from "./layout.js"

/** Whether the device is lost because a worker died, and the error that says so. */
export class Loss {
  /** Undefined unless the device is lost. */
  error: DeviceLostError | undefined
  readonly #control: ControlMemory
  readonly #findDead: () => void
  readonly #whenLost: (error: DeviceLostError) => void

  /**
   * @param findDead declares the loss if a worker has died
   * @param whenLost is called once, when nothing runs on the device any more
   */
  constructor(control: ControlMemory, findDead: () => void, whenLost: (error: DeviceLostError) => void) {
    this.#control = control
    this.#findDead = findDead
    this.#whenLost = whenLost
  }

  /** @throws DeviceLostError */
  check(): void {
    if (this.error !== undefined) throw this.error
  }

  /** Checks whether all workers are alive, which takes microseconds. */
  find(): DeviceLostError | undefined {
    if (this.error === undefined) this.#findDead()
    return this.error
  }

  /** @param kernel the last kernel that the dead worker ran */
  declare(reason: string, kernel: string | undefined, cause: Error | undefined): void {
    if (this.error !== undefined) return
    const last = kernel === undefined ? "" : ` The last kernel that it loaded or ran was "${kernel}".`
    const message = `a worker thread ${reason}.${last}`
    this.error = new DeviceLostError(`The host device is lost: ${message} Dispose of the device and open it again.`, {
      cause: cause ?? new Error(message),
    })
    Atomics.store(this.#control.words, LIFE, LOST)
    this.#whenLost(this.error)
  }
}
