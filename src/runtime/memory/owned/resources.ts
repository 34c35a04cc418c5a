import { ForgottenWatch } from "./forgotten.js"

/** The state behind a public object, which must be released. */
interface Held {
  readonly disposed: boolean
  dispose(): void
}

/**
 * The objects of one kind that were made from a device. Each is released when the user disposes of it, when its public
 * object is garbage-collected, or with the device.
 */
export class OwnedResources<T extends Held> {
  readonly #held = new Set<T>()
  readonly #forgotten: ForgottenWatch<T>

  /** @param kind see {@link ForgottenWatch} */
  constructor(kind: string | undefined) {
    this.#forgotten = new ForgottenWatch(kind, (held) => this.dispose(held))
  }

  /** `held` must not refer to `owner`. If it gets another owner, the first is no longer watched. */
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

  /** Releases everything, when the device is closed. */
  disposeAll(): void {
    for (const held of this.#held) held.dispose()
    this.#held.clear()
  }
}
