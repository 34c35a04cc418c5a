import { AuxstreamError } from "../common/errors.js"
import { checkFunction } from "../common/check.js"
import { context, runIn } from "../runtime/device/context.js"
import { show } from "../common/show.js"

/**
 * Turns the use of aux streams on or off for all that `fn` calls, across its awaits. Off, every fork and join runs in
 * sequence on the current stream. It is on unless turned off; calls nest, and a throw restores what was before.
 *
 * After TensorRT-LLM's `with_multi_stream`.
 */
export function withMultiStream<T>(enabled: boolean, fn: () => T): T {
  if (typeof enabled !== "boolean") {
    throw new AuxstreamError("AUX_INVALID_ARGUMENT", `enabled is ${show(enabled)}; it is true or false`)
  }
  checkFunction(fn, "fn")
  return runIn(context().withMultiStream(enabled), fn)
}

/** Are aux streams used here? */
export function isMultiStreamEnabled(): boolean {
  return context().multiStream
}
