/**
 * Pinned buffers for loads: files are read into them, and their bytes are then copied to the device. All loads of a device
 * share a few. A buffer is reused once the copy from it is over. If that cannot be known, it is freed after its uses
 * instead.
 */
import { onAbort } from "../../common/abort.js"
import { DisposedError, OutOfMemoryError } from "../../common/errors.js"
import { PinnedAllocation } from "../memory/pinned-allocation.js"
import type { Span } from "../memory/used-memory.js"
import { ownCompletion } from "../order/completion.js"
import type { DeviceOrder } from "../order/device-order.js"
import type { StreamState } from "../order/stream-state.js"

/** The size of a buffer in bytes: large enough for a copy at the full speed of the bus. */
export const BUFFER_BYTES = 16 * 1024 * 1024
/** The largest number of buffers: while one is copied, the next ones are filled. */
const MOST_BUFFERS = 2

/** A buffer with its pinned memory. */
export interface StagingBuffer extends Span {
  readonly allocation: PinnedAllocation
  readonly bytes: Uint8Array
}

/** A load that waits for a buffer. */
interface Waiter {
  readonly resolve: (buffer: StagingBuffer) => void
  readonly reject: (reason: unknown) => void
}

/** The buffers of one device. */
export class Staging {
  readonly #order: DeviceOrder
  readonly #idle: StagingBuffer[] = []
  readonly #waiters = new Set<Waiter>()
  /** The number of buffers, in use and idle. */
  #count = 0
  #isClosed = false

  constructor(order: DeviceOrder) {
    this.#order = order
  }

  /**
   * Acquires a buffer. Waits if all of them are in use and no more may be made.
   *
   * @throws OutOfMemoryError if not even one buffer can be allocated, DisposedError, the signal's reason
   */
  async acquire(signal: AbortSignal | undefined): Promise<StagingBuffer> {
    signal?.throwIfAborted()
    if (this.#isClosed) throw closed()
    return this.#idle.pop() ?? this.#tryToMake() ?? this.#next(signal)
  }

  /** An idle or a new buffer; undefined if the caller must wait for one. */
  #tryToMake(): StagingBuffer | undefined {
    if (this.#count >= MOST_BUFFERS) return undefined
    try {
      return this.#make()
    } catch (error) {
      if (error instanceof OutOfMemoryError && this.#count > 0) return undefined
      throw error
    }
  }

  #make(): StagingBuffer {
    const order = this.#order
    const { address, buffer, byteOffset, byteLength } = order.allocate(() =>
      order.driver.memory.allocatePinned(BUFFER_BYTES, true),
    )
    const allocation = new PinnedAllocation(order, { address, buffer, byteOffset, byteLength })
    this.#count++
    return { allocation, address, byteLength, bytes: new Uint8Array(buffer, byteOffset, byteLength) }
  }

  #next(signal: AbortSignal | undefined): Promise<StagingBuffer> {
    return new Promise((resolve, reject) => {
      const forget =
        signal &&
        onAbort(signal, () => {
          this.#waiters.delete(waiter)
          reject(signal.reason)
        })
      const waiter: Waiter = {
        resolve: (buffer) => {
          forget?.()
          resolve(buffer)
        },
        reject: (reason) => {
          forget?.()
          reject(reason)
        },
      }
      this.#waiters.add(waiter)
    })
  }

  /** Releases a buffer that is not in use any more. */
  release(buffer: StagingBuffer): void {
    if (this.#isClosed) return this.#discard(buffer)
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter)
      waiter.resolve(buffer)
      return
    }
    this.#idle.push(buffer)
  }

  /** Releases a buffer that work queued on the stream still uses. */
  releaseBehind(buffer: StagingBuffer, stream: StreamState): void {
    ownCompletion(stream).then(
      () => this.release(buffer),
      () => this.#replace(buffer),
    )
  }

  /** Frees a buffer after its uses. A waiting load gets another one. */
  #replace(buffer: StagingBuffer): void {
    this.#discard(buffer)
    const [waiter] = this.#waiters
    if (waiter === undefined || this.#isClosed) return
    this.#waiters.delete(waiter)
    try {
      waiter.resolve(this.#make())
    } catch (error) {
      waiter.reject(error)
    }
  }

  #discard({ allocation }: StagingBuffer): void {
    this.#count--
    allocation.dispose()
  }

  /** Frees the buffers that no load uses. */
  trim(): void {
    for (const buffer of this.#idle.splice(0)) this.#discard(buffer)
  }

  /** The device is closed. Buffers in use are freed when they are released. */
  close(): void {
    this.#isClosed = true
    this.trim()
    for (const { reject } of this.#waiters) reject(closed())
    this.#waiters.clear()
  }
}

function closed(): DisposedError {
  return new DisposedError("The device was disposed of while a file was being loaded. Await loads before dispose().")
}
