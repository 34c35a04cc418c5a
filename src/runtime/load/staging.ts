/**
 * The pinned buffers that files are read into before their bytes are copied to the device. All loads of a device share a few.
 * A buffer is reused once the copy from it is over. If that cannot be known, the buffer is freed behind its uses instead.
 */
import { onAbort } from "../../common/abort.js"
import { DisposedError, OutOfMemoryError } from "../../common/errors.js"
import { PinnedAllocation } from "../memory/pinned-allocation.js"
import type { Span } from "../memory/used-memory.js"
import { streamCompletion } from "../order/completion.js"
import type { DeviceOrder } from "../order/device-order.js"
import type { StreamState } from "../order/stream-state.js"

/** The bytes of a buffer: large enough that a copy of it reaches the bus' speed. */
export const BUFFER_BYTES = 16 * 1024 * 1024
/** While one is copied from, the next is read into. */
const MOST_BUFFERS = 2

/** A buffer, and the pinned memory that it is. */
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
  /** How many buffers there are, in use and idle. */
  #count = 0
  #isClosed = false

  constructor(order: DeviceOrder) {
    this.#order = order
  }

  /**
   * A buffer that nothing uses. Waits if there are as many as there may be.
   *
   * @throws OutOfMemoryError if not even one can be had, DisposedError, the signal's reason
   */
  async acquire(signal: AbortSignal | undefined): Promise<StagingBuffer> {
    signal?.throwIfAborted()
    if (this.#isClosed) throw closed()
    return this.#idle.pop() ?? this.#tryToMake() ?? this.#next(signal)
  }

  /** Undefined if others have to be waited for. */
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
      order.driver.memory.allocatePinned(BUFFER_BYTES),
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

  /** Gives back a buffer that nothing uses. */
  release(buffer: StagingBuffer): void {
    if (this.#isClosed) return this.#discard(buffer)
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter)
      waiter.resolve(buffer)
      return
    }
    this.#idle.push(buffer)
  }

  /** Gives back a buffer that what is queued on the stream still uses. */
  releaseBehind(buffer: StagingBuffer, stream: StreamState): void {
    streamCompletion(stream).then(
      () => this.release(buffer),
      () => this.#replace(buffer),
    )
  }

  /** Frees a buffer behind its uses. A load that waits gets another one. */
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

  /** The device is closed. Buffers in use are freed when they come back. */
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
