import { KernelError } from "../../common/errors.js"
import { capitalised } from "../../common/show.js"

/**
 * The failures that have been reported to the user, by their first error. Errors of other streams have it as their cause.
 */
const told = new WeakSet<KernelError>()

/** Notes that an error is reported to the user. @returns the error, to be thrown */
export function tell<E>(error: E): E {
  if (error instanceof KernelError) told.add(firstOf(error))
  return error
}

/** The error for an operand that a failed kernel should have written. Without a name for the operand, the failure itself. */
export function unwritten(name: string | undefined, failure: unknown): unknown {
  if (name === undefined || !(failure instanceof KernelError)) return failure
  const { kernel, kernelStack } = failure
  const message = `${capitalised(name)} must have been written, but a kernel that should have done it failed. ${failure.message}`
  return new KernelError(message, kernel, kernelStack, { cause: firstOf(failure) })
}

/** Whether the failure behind an error has been reported to the user. */
export function wasTold(error: Error | undefined): boolean {
  return error instanceof KernelError && told.has(firstOf(error))
}

function firstOf(error: KernelError): KernelError {
  return error.cause instanceof KernelError ? error.cause : error
}
