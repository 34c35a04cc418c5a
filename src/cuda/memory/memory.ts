/** The choice of what hands out device memory. */
import { AuxstreamError } from "../../common/errors.js"
import type { Captures } from "../stream/captures.js"
import type { CudaContext } from "../api/context.js"
import type { DeviceMemory } from "./device-memory.js"
import { DriverMemory } from "./driver-memory.js"
import type { EventPool } from "../stream/events.js"
import { OwnMemory } from "./own-memory.js"
import type { Streams } from "../stream/streams.js"

/**
 * Memory cut by ourselves, unless `AUXSTREAM_CUDA_MEMORY=driver` says that each array shall be an allocation of the
 * driver's own: so that compute-sanitizer sees where it begins and ends, which costs a call of the driver for each.
 *
 * @throws CudaError, AuxstreamError AUX_INVALID_ARGUMENT for another value of the variable
 */
export function createDeviceMemory(
  context: CudaContext,
  streams: Streams,
  captures: Captures,
  events: EventPool,
): DeviceMemory {
  const by = whoHandsOut()
  const driverMemory = new DriverMemory(context, streams, captures)
  return by === "driver" ? driverMemory : new OwnMemory(context, streams, captures, events, driverMemory)
}

function whoHandsOut(): "own" | "driver" {
  const named = process.env["AUXSTREAM_CUDA_MEMORY"] || "own"
  if (named === "own" || named === "driver") return named
  throw new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `the environment variable AUXSTREAM_CUDA_MEMORY is ${JSON.stringify(named)}: give "own" or "driver", or leave it out`,
  )
}
