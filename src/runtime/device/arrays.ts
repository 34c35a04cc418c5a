/** What device arrays and pinned arrays have in common. */
import { AuxstreamError } from "../../common/errors.js"
import { queueOverwrite } from "../capture/operation.js"
import type { StreamState } from "../order/stream-state.js"
import type { DeviceArray } from "./device-array.js"
import type { PinnedArray } from "./pinned-array.js"

/** Any array that kernels and library calls may use. */
export type AnyArray = DeviceArray | PinnedArray

/** Refuses a source of another device, dtype or length. */
function checkSameKind(destination: AnyArray, source: AnyArray): void {
  if (source.device !== destination.device) {
    throw new AuxstreamError(
      "AUX_DEVICE_MISMATCH",
      `the source is on ${source.device.id}, the destination on ${destination.device.id}; ` +
        "copy between devices by way of the host: destination.copyFrom(await source.read())",
    )
  }
  if (source.dtype !== destination.dtype) {
    throw new AuxstreamError(
      "AUX_DTYPE_MISMATCH",
      `the source is of ${source.dtype}, the destination of ${destination.dtype}; both must be the same`,
    )
  }
  checkSameLength(destination.length, source.length)
}

export function checkSameLength(expected: number, actual: number): void {
  if (expected === actual) return
  throw new AuxstreamError(
    "AUX_LENGTH_MISMATCH",
    `the source has ${actual} elements, the destination ${expected}; both must be the same: use subarray()`,
  )
}

/** Queues a copy of one whole array into another. */
export function copyBetween(destination: AnyArray, source: AnyArray, stream: StreamState): void {
  source.checkUsable()
  checkSameKind(destination, source)
  const { byteLength } = destination
  if (byteLength === 0 || destination.address === source.address) return
  if (destination.address < source.address + byteLength && source.address < destination.address + byteLength) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      "source and destination of the copy overlap; copy through a third array",
    )
  }
  queueOverwrite(stream, "copy", destination, source, () => {
    destination.device.driver.copy(destination.address, source.address, byteLength, stream.handle)
  })
}
