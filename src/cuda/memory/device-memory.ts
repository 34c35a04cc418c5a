import type { StreamHandle } from "../../driver/handles.js"
import type { MemoryUsage, OrderMark } from "../../driver/memory.js"

/** How much memory this process has of the device, in bytes. */
export type OwnUsage = Pick<MemoryUsage, "used" | "reserved" | "peak">

/** Allocates the memory of one device. `allocate` and `free` behave as in `DriverMemory`, and must never wait for queued work. */
export interface DeviceMemory {
  /** @throws OutOfMemoryError without having waited */
  allocate(byteLength: number, stream: StreamHandle, happensBefore: (mark: OrderMark) => boolean): number
  /** Whether the previous owner's operations may still use allocated memory, up to the allocation's place in its stream. */
  isEarly(address: number): boolean
  /**
   * Never throws: memory that cannot be freed is leaked, with a warning. Without a mark, no other stream is known to be
   * ordered after this free.
   */
  free(address: number, stream: StreamHandle, mark: OrderMark | undefined): void
  /** Blocks until every free so far has happened. */
  drainFrees(): void
  /** Checks which memory is unused now, and returns it to the system. Does not wait for queued work. @throws CudaError */
  releaseIdle(): void
  /** See `DriverMemory.allocatesInOrder`. */
  readonly allocatesInOrder: boolean
  /** Returns memory that is known to be unused to the system. @throws CudaError */
  trim(): void
  /** A stream is being destroyed. Returns a function to call when its work is over, if there is one. */
  forgetStream(stream: StreamHandle): (() => void) | undefined
  /** Everything queued on the stream so far is over. */
  noteIdle(stream: StreamHandle): void
  usage(): OwnUsage
  /** See `DriverMemory.resetPeak`. */
  resetPeak(): void
  /** Whether all memory has been freed in the driver. */
  readonly isEmpty: boolean
  /** Frees everything on a new stream. Nothing may be queued any more. @throws CudaError, having freed nothing */
  freeAll(): void
  close(): void
}
