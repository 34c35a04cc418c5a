import { warn } from "./warn.js"
import { showThrown } from "./show.js"

/** The error if there is one, an `AggregateError` if there are several. */
export function settle(errors: readonly unknown[]): unknown {
  return errors.length === 1 ? errors[0] : new AggregateError(errors, "Several functions that ran in parallel failed.")
}

/**
 * Attaches the errors of a failed join to the first error, as its property `joinErrors`. The first error is then thrown
 * unchanged. If it cannot have properties, the join's errors are warned about, so that none is lost.
 */
export function attach(error: unknown, joinErrors: readonly unknown[]): unknown {
  if (joinErrors.length === 0) return error
  if (typeof error === "object" && error !== null && Object.isExtensible(error)) {
    Object.defineProperty(error, "joinErrors", { value: joinErrors, configurable: true, writable: true })
  } else {
    warn(
      "AUX_JOIN",
      `A join failed, too, after an error that cannot carry this one: ${joinErrors.map(showThrown).join("; ")}`,
    )
  }
  return error
}
