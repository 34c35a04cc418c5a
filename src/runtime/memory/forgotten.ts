import { warnOnce } from "../../common/warn.js"

/**
 * Watches objects that own something: what is collected without having been disposed of is released, and the first of
 * each kind is warned about, unless nothing is lost by forgetting it.
 */
export class ForgottenWatch<Held extends { readonly disposed: boolean }> {
  readonly #registry: FinalizationRegistry<Held>

  /** @param kind what is owned, as the warning says it: `"DeviceArray"`; undefined for no warning */
  constructor(kind: string | undefined, release: (held: Held) => void) {
    this.#registry = new FinalizationRegistry((held) => {
      if (held.disposed) return
      if (kind !== undefined) warnOfForgotten(kind)
      release(held)
    })
  }

  /** `held` must not reference `owner`, or it would never be collected. */
  watch(owner: object, held: Held): void {
    this.#registry.register(owner, held, held)
  }

  /**
   * Ends the watch over what has been disposed of. The registry would forget it too, but only when the event loop gets
   * its turn: a long loop without an `await` would gather up millions.
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
