import { warn } from "./warn.js"
import { showThrown } from "./show.js"

/** The one error, or an `AggregateError` of several. */
export function settle(errors: readonly unknown[]): unknown {
  return errors.length === 1 ? errors[0] : new AggregateError(errors, "several of the functions run in parallel failed")
}

/**
 * Attaches the errors of a join that failed, too, to the error that came first, which is thrown as it was: they stand
 * in its `joinErrors`. What cannot carry them is warned about, so that nothing is lost.
 */
export function attach(error: unknown, joinErrors: readonly unknown[]): unknown {
  if (joinErrors.length === 0) return error
  if (typeof error === "object" && error !== null && Object.isExtensible(error)) {
    Object.defineProperty(error, "joinErrors", { value: joinErrors, configurable: true, writable: true })
  } else {
    warn("AUX_JOIN", `A join failed after another error: ${joinErrors.map(showThrown).join("; ")}`)
  }
  return error
}
