/** Chooses how device memory is allocated. */
import { AuxstreamError } from "../../common/errors.js"
import type { Captures } from "../stream/captures.js"
import type { CudaContext } from "../api/context.js"
import type { DeviceMemory } from "./device-memory.js"
import { DriverMemory } from "./driver-memory.js"
import type { EventPool } from "../stream/event-pool.js"
import { OwnMemory } from "./own-memory.js"
import type { Streams } from "../stream/streams.js"

/**
 * Our own allocator, unless the user sets `AUXSTREAM_CUDA_MEMORY=driver`. Then each array is an allocation of the driver,
 * so that compute-sanitizer knows its bounds. This costs a driver call for each array.
 *
 * @throws CudaError, AuxstreamError AUX_INVALID_ARGUMENT for another value of the variable
 */
export function createDeviceMemory(
  context: CudaContext,
  streams: Streams,
  captures: Captures,
  events: EventPool,
): DeviceMemory {
  const mode = allocationMode()
  const driverMemory = new DriverMemory(context, streams, captures)
  return mode === "driver" ? driverMemory : new OwnMemory(context, streams, captures, events, driverMemory)
}

function allocationMode(): "own" | "driver" {
  const named = process.env["AUXSTREAM_CUDA_MEMORY"] || "own"
  if (named === "own" || named === "driver") return named
  throw new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `The environment variable AUXSTREAM_CUDA_MEMORY must be "own", "driver" or unset; got ${JSON.stringify(named)}.`,
  )
}
