import { warn } from "../warn.js"
import { showThrown } from "../show.js"

/** The error if there is one, an `AggregateError` if there are several. One error may come several times: a lost device's. */
export function settle(errors: readonly unknown[]): unknown {
  const different = [...new Set(errors)]
  return different.length === 1
    ? different[0]
    : new AggregateError(different, "Several functions that ran in parallel failed.")
}

/**
 * Attaches the errors of a failed join to the first error, as its property `joinErrors`. The first error is then thrown
 * unchanged. If it cannot have properties, the join's errors are warned about, so that none is lost. An error is never
 * attached to itself.
 */
export function attach(error: unknown, errors: readonly unknown[]): unknown {
  if (errors.length === 0) return error
  const told = error instanceof AggregateError ? new Set<unknown>(error.errors).add(error) : new Set([error])
  const joinErrors = errors.filter((one) => !told.has(one))
  if (joinErrors.length === 0) return error
  if (typeof error === "object" && error !== null && Object.isExtensible(error)) {
    Object.defineProperty(error, "joinErrors", { value: joinErrors, configurable: true, writable: true })
  } else {
    warn(
      "AUX_JOIN",
      `A join also failed, after an error that cannot carry this one: ${joinErrors.map(showThrown).join("; ")}`,
    )
  }
  return error
}
