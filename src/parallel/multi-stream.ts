import { checkBoolean, checkFunction } from "../common/check.js"
import { context, runIn } from "../runtime/device/context.js"
import { RegionPart } from "../runtime/order/observer/region.js"

/**
 * Allows or forbids aux streams for everything that `fn` calls, across its awaits. If forbidden, every fork-join runs in
 * sequence on the current stream. The default is allowed. Calls may nest. After TensorRT-LLM's `with_multi_stream`.
 *
 * @param enabled whether aux streams may be used
 * @param fn sync or async
 * @returns what `fn` returns
 * @throws AuxstreamError AUX_INVALID_ARGUMENT
 * @example
 * const sequential = withMultiStream(false, () => layer(x)) // to compare with layer(x)
 */
export function withMultiStream<T>(enabled: boolean, fn: () => T): T {
  checkBoolean(enabled, "enabled")
  checkFunction(fn, "fn")
  const here = context().withMultiStream(enabled)
  return runIn(enabled || here.region === undefined ? here : here.withRegion(apart(here.region)), fn)
}

/** The same place for observers, but no longer the one in which `autoParallel` places operations. */
function apart({ region, index }: RegionPart): RegionPart {
  return new RegionPart(region, index)
}

/** Whether aux streams may be used here. */
export function isMultiStreamEnabled(): boolean {
  return context().multiStream
}
