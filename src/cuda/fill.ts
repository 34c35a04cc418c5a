/** Fills with elements of 1, 2, 4 and 8 bytes. */
import type { StreamHandle } from "../driver.js"
import type { CudaContext } from "./context.js"

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
      return context.queue("cuMemsetD8Async", destination, view.getUint8(0), count, stream)
    case 2:
      return context.queue("cuMemsetD16Async", destination, view.getUint16(0, true), count, stream)
    case 4:
      return context.queue("cuMemsetD32Async", destination, view.getUint32(0, true), count, stream)
    default:
      return fillPairs(context, destination, view.getUint32(0, true), view.getUint32(4, true), count, stream)
  }
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
  if (low === high) return context.queue("cuMemsetD32Async", destination, low, count * 2, stream)
  const pitch = 8
  context.queue("cuMemsetD2D32Async", destination, pitch, low, 1, count, stream)
  context.queue("cuMemsetD2D32Async", destination + 4, pitch, high, 1, count, stream)
}
