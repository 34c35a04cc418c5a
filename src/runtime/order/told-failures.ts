import { KernelError } from "../../common/errors.js"

/** The first errors of failures that somebody has been told of: other streams' errors name them as their cause. */
const told = new WeakSet<KernelError>()

/** Somebody is told of a failure. Gives the error back, to be thrown. */
export function tell<E>(error: E): E {
  if (error instanceof KernelError) told.add(firstOf(error))
  return error
}

/** Has somebody been told of the failure behind an error? */
export function wasTold(error: Error | undefined): boolean {
  return error instanceof KernelError && told.has(firstOf(error))
}

function firstOf(error: KernelError): KernelError {
  return error.cause instanceof KernelError ? error.cause : error
}

/** Does what may throw a failure that somebody is then told of. */
export function telling<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw tell(error)
  }
}
