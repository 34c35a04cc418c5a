/** Fills with elements of 1, 2, 4 and 8 bytes. */
import type { StreamHandle } from "../driver.js"
import type { CudaContext } from "./context.js"
import { SUCCESS } from "./status.js"

/** Queues a fill. @throws CudaError */
export function fill(
  context: CudaContext,
  destination: number,
  element: Uint8Array,
  count: number,
  stream: StreamHandle,
): void {
  const view = new DataView(element.buffer, element.byteOffset, element.byteLength)
  switch (element.byteLength) {
    case 1:
      return setBytes(context, "cuMemsetD8Async", destination, view.getUint8(0), count, stream)
    case 2:
      return setBytes(context, "cuMemsetD16Async", destination, view.getUint16(0, true), count, stream)
    case 4:
      return setBytes(context, "cuMemsetD32Async", destination, view.getUint32(0, true), count, stream)
    default:
      return fillPairs(context, destination, view.getUint32(0, true), view.getUint32(4, true), count, stream)
  }
}

function setBytes(
  context: CudaContext,
  call: "cuMemsetD8Async" | "cuMemsetD16Async" | "cuMemsetD32Async",
  destination: number,
  value: number,
  count: number,
  stream: StreamHandle,
): void {
  const status = context.calls[call](destination, value, count, stream)
  if (status !== SUCCESS) context.retry(status, call, destination, value, count, stream)
}

/** CUDA fills with 4 bytes at most. Halves that differ are two fills, each of every other 4 bytes. */
function fillPairs(
  context: CudaContext,
  destination: number,
  low: number,
  high: number,
  count: number,
  stream: StreamHandle,
): void {
  if (low === high) {
    setBytes(context, "cuMemsetD32Async", destination, low, count * 2, stream)
    return
  }
  setEveryOther(context, destination, low, count, stream)
  setEveryOther(context, destination + 4, high, count, stream)
}

function setEveryOther(
  context: CudaContext,
  destination: number,
  value: number,
  count: number,
  stream: StreamHandle,
): void {
  const pitch = 8
  const status = context.calls.cuMemsetD2D32Async(destination, pitch, value, 1, count, stream)
  if (status !== SUCCESS) context.retry(status, "cuMemsetD2D32Async", destination, pitch, value, 1, count, stream)
}
