/** Checks and copies that device arrays and pinned arrays share. */
import { AuxstreamError } from "../../../common/errors.js"
import { acceptTransfer, prepareTransfer, queueOperation } from "../../capture/operation.js"
import type { Span } from "../../memory/used-memory.js"
import { OperationType } from "../../order/observer/operation.js"
import type { StreamState } from "../../order/stream-state.js"
import { tell } from "../../order/told-failures.js"
import type { DeviceArray } from "./device-array.js"
import type { PinnedArray } from "./pinned-array.js"

/** Any array that a kernel or another library may use. */
export type AnyArray = DeviceArray | PinnedArray

/** An array's description in a message, after the role in which it was given, such as `argument 2 of kernel "scale"`. */
export function inRole(description: string, role: string | undefined): string {
  return role === undefined ? description : `${role}, ${description},`
}

/** Throws if the source has another device or dtype than the destination. */
export function checkSameDevice(destination: AnyArray, source: AnyArray): void {
  if (source.device !== destination.device) {
    throw new AuxstreamError(
      "AUX_DEVICE_MISMATCH",
      `The source must be on the destination's device, ${destination.device.id}; got one on ${source.device.id}. Copy ` +
        "between devices through the host: destination.copyFrom(await source.read()).",
    )
  }
  if (source.dtype !== destination.dtype) {
    throw new AuxstreamError(
      "AUX_DTYPE_MISMATCH",
      `The source must have the destination's dtype, ${destination.dtype}; got ${source.dtype}`,
    )
  }
}

export function checkSameLength(expected: number, actual: number): void {
  if (expected === actual) return
  throw new AuxstreamError(
    "AUX_LENGTH_MISMATCH",
    `The source must have the destination's length, ${expected}; got ${actual}. Use subarray() to copy a part.`,
  )
}

const copy = new OperationType("copy", "copy", ["overwrite", "read"])

/** Queues a copy of one whole array into another. */
export function copyBetween(destination: AnyArray, source: AnyArray, stream: StreamState): void {
  source.checkUsable()
  checkSameDevice(destination, source)
  checkSameLength(destination.length, source.length)
  copyBytes(destination, source, stream)
}

/** Queues a copy of all bytes of one span into another of the same length. */
export function copyBytes(destination: Span, source: Span, stream: StreamState): void {
  const { byteLength } = destination
  if (byteLength === 0 || destination.address === source.address) return
  if (destination.address < source.address + byteLength && source.address < destination.address + byteLength) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      "The source and the destination of a copy must not overlap. Copy through a third array.",
    )
  }
  if (stream.isPlain) queuePlainCopy(destination, source, stream)
  else queueCopy(destination, source, stream)
}

function queueCopy(destination: Span, source: Span, stream: StreamState): void {
  queueOperation(stream, copy, [destination, source], false, ({ handle, order }) => {
    order.driver.memory.copy(destination.address, source.address, destination.byteLength, handle)
  })
}

function queuePlainCopy(destination: Span, source: Span, stream: StreamState): void {
  try {
    prepareTransfer(stream, destination, source)
    stream.order.driver.memory.copy(destination.address, source.address, destination.byteLength, stream.handle)
  } catch (error) {
    throw tell(error)
  }
  acceptTransfer(stream, destination, source)
}
