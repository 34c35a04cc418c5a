/** The device of a run, and whether the run fits it. */

import { availableParallelism, freemem } from "node:os"
import { AuxstreamError, type Device, type DeviceSelector, openDevice } from "auxstream"
import { UsageError } from "./options.js"
import { type Sizes, weightBytes } from "./sizes.js"

/** @throws UsageError with the library's message, which says why and what to do */
export function openNamedDevice(selector: DeviceSelector): Device {
  try {
    return openDevice(selector)
  } catch (error) {
    if (error instanceof AuxstreamError) throw new UsageError(error.message, { cause: error })
    throw error
  }
}

/** Refuses sizes that do not fit, before gigabytes are filled. A CUDA device refuses them itself. */
export function checkMemory(device: Device, sizes: Sizes): void {
  if (device.kind !== "host") return
  const needed = weightBytes(sizes)
  const room = 0.95 * Math.min(4 * 2 ** 30, freemem())
  if (needed <= room) return
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`
  throw new UsageError(
    `The weights of ${sizes.layers} layers need ${gigabytes(needed)}, but the host device has room for ${gigabytes(room)}; use a smaller --layers.`,
  )
}

/** The number of threads that the library starts by default; see `openDevice`. */
export function threadsOf(device: Device): number | null {
  if (device.kind !== "host") return null
  return Number(process.env["AUXSTREAM_HOST_THREADS"] || Math.max(2, availableParallelism()))
}
