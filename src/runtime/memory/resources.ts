import { ForgottenWatch } from "./forgotten.js"

/** Something below its public face: what has to be given back. */
interface Held {
  readonly disposed: boolean
  dispose(): void
}

/**
 * What was made from a device, of one kind: given back when its owner disposes of it, when its owner is found forgotten,
 * or with the device.
 */
export class OwnedResources<T extends Held> {
  readonly #held = new Set<T>()
  readonly #forgotten: ForgottenWatch<T>

  /** @param kind see {@link ForgottenWatch} */
  constructor(kind: string | undefined) {
    this.#forgotten = new ForgottenWatch(kind, (held) => this.dispose(held))
  }

  /** `held` must not reference `owner`. Watching for another owner ends the watch over the first. */
  add(owner: object, held: T): void {
    this.#held.add(held)
    this.#forgotten.unwatch(held)
    this.#forgotten.watch(owner, held)
  }

  dispose(held: T): void {
    this.#held.delete(held)
    this.#forgotten.unwatch(held)
    held.dispose()
  }

  /** The device is closed. */
  disposeAll(): void {
    for (const held of this.#held) held.dispose()
    this.#held.clear()
  }
}
