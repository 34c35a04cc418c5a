import type { MemoryUsage, OrderMark, StreamHandle } from "../../driver.js"

/** The device memory of one device. `allocate` and `free` are the seam's. */
export interface DeviceMemory {
  /** @throws OutOfMemoryError when there is none, having waited for nothing */
  allocate(byteLength: number, stream: StreamHandle, covers: (mark: OrderMark) => boolean): number
  /** Is memory that was allocated perhaps in use still, up to its place in its stream's order? */
  isEarly(address: number): boolean
  /** Never throws: memory that cannot be freed is leaked, with a warning. Without a mark nobody is known to be behind it. */
  free(address: number, stream: StreamHandle, mark: OrderMark | undefined): void
  /** Blocks until every free so far has happened. */
  drainFrees(): void
  /** Gives back to the system what nobody uses, whether it was known to be free or not. Waits for no work. @throws CudaError */
  giveBackIdle(): void
  /** Gives back to the system what is held and nobody uses. @throws CudaError */
  trim(): void
  /** A stream is being destroyed. Returns what is to be called when its work is over, if anything. */
  forgetStream(stream: StreamHandle): (() => void) | undefined
  /** Everything that was queued on the stream so far is over. */
  hasPassed(stream: StreamHandle): void
  usage(): MemoryUsage
  /** Has everything been given back to the driver? */
  readonly isEmpty: boolean
  /** Gives back what is left, on a stream made for it. Nothing is queued any more. @throws CudaError, having freed nothing */
  freeAll(): void
  close(): void
}
