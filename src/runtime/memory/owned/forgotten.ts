import { warnOnce } from "../../../common/warn.js"

/**
 * Releases the resources of objects that are garbage-collected without `dispose()`. Warns of the first object of each kind,
 * unless forgetting that kind costs nothing.
 */
export class ForgottenWatch<Held extends { readonly disposed: boolean }> {
  readonly #registry: FinalizationRegistry<Held>

  /** @param kind the kind of object for the warning, such as `"DeviceArray"`; undefined for no warning */
  constructor(kind: string | undefined, release: (held: Held) => void) {
    this.#registry = new FinalizationRegistry((held) => {
      if (held.disposed) return
      if (kind !== undefined) warnOfForgotten(kind)
      release(held)
    })
  }

  /** `held` must not refer to `owner`, or `owner` would never be collected. */
  watch(owner: object, held: Held): void {
    this.#registry.register(owner, held, held)
  }

  /**
   * Ends the watch of an object that has been disposed of. The registry would forget it as well, but only when the event
   * loop runs, so a long loop without `await` would accumulate millions of entries.
   */
  unwatch(held: Held): void {
    this.#registry.unregister(held)
  }
}

function warnOfForgotten(kind: string): void {
  warnOnce(
    `forgotten ${kind}`,
    `A ${kind} was garbage-collected without dispose(), so its resources are released only now. ` +
      `Call dispose()${kind === "DeviceArray" ? ", declare it with `using`, or make it inside device.scope()" : ", or declare it with `using`"}.`,
    "AUX_FORGOTTEN",
  )
}
