/**
 * A device's memory, and what moves bytes in it. The head of `driver.ts` says between which places of a stream's order memory
 * belongs to the caller, and what its birth is.
 */
import type { StreamHandle } from "./handles.js"

/** A device's memory, and what moves bytes in it. */
export interface DriverMemory {
  /**
   * Whether an allocation is itself an operation of its stream. Then no other stream may use the memory before it, whatever
   * used the memory earlier.
   */
  readonly allocatesInOrder?: boolean
  /**
   * Memory of at least one byte, aligned to 256 bytes, from this place in the stream's order on. `happensBefore(mark)`
   * tells whether the `free` with that mark is ordered before this call. `contentsFollow`: no other stream uses the memory
   * before `noteContents`.
   * @throws OutOfMemoryError without having waited
   */
  allocate(
    byteLength: number,
    stream: StreamHandle,
    happensBefore: (mark: OrderMark) => boolean,
    contentsFollow?: boolean,
  ): number
  /** The memory's first contents have just been queued on its stream: its birth is now after them. */
  noteContents(address: number, stream: StreamHandle): void
  /**
   * The operation queued last overwrites all of the memory, so skipped first contents no longer break streams that use it.
   * Absent if a failure loses the device.
   */
  forgetContents?(address: number): void
  /**
   * Makes everything queued on the stream later run after the memory's birth. Other failures of the birth's own stream do
   * not break this stream. But if the first contents were skipped because that stream was already broken, this stream
   * breaks, too, unless its next operation `overwrites` all of the memory.
   *
   * @returns true if the birth is over, so that no stream must be ordered after it any more
   */
  orderBehindBirth(address: number, stream: StreamHandle, overwrites?: boolean): boolean
  /** Frees memory at this place in the stream's order. */
  free(address: number, stream: StreamHandle, mark: OrderMark): void
  /** Blocks until every `free` queued so far has happened, so that `allocate` can reuse the memory. */
  drainFrees(): void
  /**
   * Everything queued on the stream outside a capture is over. The runtime knows this from an event; a captured stream
   * cannot be queried.
   */
  noteIdle(stream: StreamHandle): void
  usage(): MemoryUsage
  /** Returns reserved memory that nothing uses now to the system, where that is possible. Does not wait for queued work. */
  trim(): void
  /** Sets the peak to the bytes in use now. */
  resetPeak(): void

  /**
   * Pinned memory with undefined contents. `isStaging`: the user never gets it, so many pieces may share one buffer object.
   *
   * @throws OutOfMemoryError
   */
  allocatePinned(byteLength: number, isStaging?: boolean): PinnedMemory
  /**
   * Frees pinned memory, whose pages may be reused at once. It is in no stream's order: the caller must know that every
   * queued use is over and that its buffer is unreachable. This is the only method that may be called after `close`. Until
   * it is called the pages stay, because a typed array over them may be in use.
   */
  freePinned(address: number): void

  /**
   * Refuses foreign memory that does not belong to the device. Absent if the driver cannot check it.
   * @throws AuxstreamError AUX_OUT_OF_RANGE
   */
  check?(address: number, byteLength: number): void

  /**
   * Memory that was allocated on this stream and has not been used since, as bytes to write first contents to. Undefined if
   * queued work may still use what was there before. Absent if JavaScript cannot reach the device's memory.
   * @throws the error that broke the stream
   */
  bytesNow?(address: number, byteLength: number, stream: StreamHandle): Uint8Array | undefined

  /** Copies bytes between device and pinned memory, in any direction. */
  copy(destination: number, source: number, byteLength: number, stream: StreamHandle): void
  /** Copies from the caller's memory, which has been read when the call returns. */
  upload(destination: number, source: Uint8Array, stream: StreamHandle): void
  /** Fills with `count` repetitions of an element of 1, 2, 4 or 8 bytes. */
  fill(destination: number, element: Uint8Array, count: number, stream: StreamHandle): void
  /**
   * Like `copy`, for at least two rows of `width` bytes. A pitch is at least `width`, and at most `properties.maxPitch`.
   */
  copyRows(destination: Rows, source: Rows, width: number, rows: number, stream: StreamHandle): void
  /** Like `fill`, for at least two rows of `count` elements. The pitch is a multiple of the element's bytes. */
  fillRows(destination: Rows, element: Uint8Array, count: number, rows: number, stream: StreamHandle): void
}

/** A place in a stream's order. Only the runtime interprets it; a driver keeps it and passes it to `happensBefore`. */
export interface OrderMark {
  readonly slot: number
  readonly tick: number
}

/** The place of rows: the first begins at an address, and each other one `pitch` bytes after the previous one. */
export interface Rows {
  readonly address: number
  readonly pitch: number
}

/** Bytes of device memory. */
export interface MemoryUsage {
  /** Bytes used by arrays that have not been disposed of. */
  readonly used: number
  /** Bytes allocated from the system, in use or kept for reuse. */
  readonly reserved: number
  /** The largest value of `used` so far, or since {@link Device.resetPeakMemory}. */
  readonly peak: number
  /** Bytes free for any process. On the host device, the bytes by which its memory can still grow. */
  readonly free: number
  /** The bytes of the whole device. On the host device, the largest size that its memory can have. */
  readonly total: number
}

/** Page-locked host memory that the device reads and writes in place. */
export interface PinnedMemory {
  readonly address: number
  /**
   * Memory that the user may get: a new object for each allocation, which the driver must not keep. The runtime calls
   * `freePinned` only once it is unreachable, because a typed array over it may still be in use.
   */
  readonly buffer: ArrayBufferLike
  /** The memory's offset in `buffer`, a multiple of 256. */
  readonly byteOffset: number
  readonly byteLength: number
}
