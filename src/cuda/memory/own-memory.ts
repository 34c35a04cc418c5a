/**
 * Device memory that we cut from large pieces of the driver's, in stream order.
 *
 * In the driver, a stream-ordered allocation or free costs a microsecond, and every later record and wait on that stream
 * costs more (measured on an H200, driver 580). So user streams must never see one: a stream reuses what it has freed
 * through a lookup here. The runtime's clocks tell whether a stream is ordered after another one's free.
 */
import { Allocator, type MemorySource, type Stretch } from "../../allocator/allocator.js"
import { MemoryCount } from "../../allocator/memory-count.js"
import type { StreamHandle } from "../../driver/handles.js"
import type { OrderMark } from "../../driver/memory.js"
import { OutOfMemoryError } from "../../common/errors.js"
import type { Captures } from "../stream/captures.js"
import type { CudaContext } from "../api/context.js"
import type { DriverMemory } from "./driver-memory.js"
import type { EventPool } from "../stream/event-pool.js"
import type { DeviceMemory, OwnUsage } from "./device-memory.js"
import { StreamProgress } from "./stream-progress.js"
import type { Streams } from "../stream/streams.js"

const MIB = 2 ** 20
/** Arrays up to this size have pieces of their own, so that a small array never keeps a large piece alive. */
const LARGEST_SMALL = MIB
const FIRST_SMALL_PIECE = 2 * MIB
const LARGEST_SMALL_PIECE = 32 * MIB
/** An array above this size gets a piece of its own: the rest of a shared piece would be too small for the next one. */
const LARGEST_SHARING = 8 * MIB
const SHARED_PIECE = 32 * MIB
/** Watching a free costs a microsecond, so only one of this many small frees is watched. */
const SMALL_FREES_PER_WATCHER = 16

/** Makes each array a part of a larger piece. */
export class OwnMemory implements DeviceMemory {
  readonly allocatesInOrder = false
  readonly #context: CudaContext
  readonly #streams: Streams
  readonly #captures: Captures
  readonly #events: EventPool
  readonly #pieces: DriverMemory
  readonly #count = new MemoryCount()
  readonly #small: Allocator<StreamProgress>
  readonly #large: Allocator<StreamProgress>
  /** The progress of each stream that has freed something. */
  readonly #progress = new Map<StreamHandle, StreamProgress>()
  /** The progress of all streams that have freed nothing. */
  readonly #withoutFrees: StreamProgress

  /** @param pieces the source of the pieces */
  constructor(context: CudaContext, streams: Streams, captures: Captures, events: EventPool, pieces: DriverMemory) {
    this.#context = context
    this.#streams = streams
    this.#captures = captures
    this.#events = events
    this.#pieces = pieces
    this.#withoutFrees = this.#newProgress(0)
    this.#small = new Allocator(this.#source(smallPiece), this.#count)
    this.#large = new Allocator(this.#source(largePiece), this.#count)
  }

  #newProgress(stream: StreamHandle): StreamProgress {
    return new StreamProgress(this.#context, this.#streams, this.#captures, this.#events, stream)
  }

  #source(pieceFor: (byteLength: number, before: number) => number): MemorySource {
    let taken = 0
    return {
      isContiguous: false,
      extend: (byteLength) => {
        const stretch = this.#takePiece(byteLength, pieceFor(byteLength, taken))
        taken += stretch?.byteLength ?? 0
        return stretch
      },
      refresh: () => this.#refresh(),
      outOfMemory: (byteLength, { used }) => this.#pieces.outOfMemory(byteLength, used),
    }
  }

  allocate(byteLength: number, stream: StreamHandle, happensBefore: (mark: OrderMark) => boolean): number {
    this.#context.checkAlive()
    // A captured operation may run at any time, so no free is ordered before it.
    if (this.#captures.isInAnyCapture(stream)) return this.#allocate(byteLength, this.#withoutFrees, nothing)
    return this.#allocate(byteLength, this.#progress.get(stream) ?? this.#withoutFrees, happensBefore)
  }

  #allocate(byteLength: number, progress: StreamProgress, happensBefore: (mark: OrderMark) => boolean): number {
    const [first, second] = byteLength <= LARGEST_SMALL ? [this.#small, this.#large] : [this.#large, this.#small]
    try {
      return first.allocate(byteLength, progress, happensBefore)
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error
      return second.allocate(byteLength, progress, happensBefore) // The wrong pieces are better than a failure.
    }
  }

  isEarly(address: number): boolean {
    return this.#small.isEarly(address) || this.#large.isEarly(address)
  }

  free(address: number, stream: StreamHandle, mark: OrderMark | undefined): void {
    const isSmall = this.#small.owns(address)
    const allocator = isSmall ? this.#small : this.#large
    if (this.#context.isLost || !allocator.owns(address)) return
    let progress = this.#progress.get(stream)
    if (progress === undefined) {
      progress = this.#newProgress(stream)
      this.#progress.set(stream, progress)
    }
    allocator.release(address, progress, progress.countFree(), mark)
    progress.watch(isSmall ? SMALL_FREES_PER_WATCHER : 1)
  }

  /**
   * A piece of the wanted size, else of the least size. If both fail, releases unused pieces and tries the least size
   * again.
   */
  #takePiece(least: number, wanted: number): Stretch | undefined {
    const stretch = this.#tryToTake(wanted) ?? (wanted > least ? this.#tryToTake(least) : undefined)
    if (stretch !== undefined) return stretch
    this.#releaseUnused()
    return this.#tryToTake(least)
  }

  #tryToTake(byteLength: number): Stretch | undefined {
    try {
      return { address: this.#pieces.allocateForAll(byteLength), byteLength }
    } catch (error) {
      if (error instanceof OutOfMemoryError) return undefined
      throw error
    }
  }

  #refresh(): void {
    this.#unlessLost(() => this.#streams.ends.forgetReached())
    for (const progress of this.#progress.values()) {
      this.#unlessLost(
        () => progress.refresh(),
        () => progress.unwatch(),
      )
    }
  }

  /** A failure of one stream, which another library may also use, must not fail an allocation on a different stream. */
  #unlessLost(look: () => void, otherwise?: () => void): void {
    try {
      look()
    } catch (error) {
      if (this.#context.isLost) throw error
      otherwise?.()
    }
  }

  #releaseUnused(): void {
    if (this.#pieces.isEmpty) return
    const { outside } = this.#pieces
    for (const allocator of [this.#small, this.#large]) {
      allocator.releaseUnused(({ address }) => this.#pieces.free(address, outside))
    }
    // This stream has no user work, so it does not wait for any.
    this.#streams.synchronize(outside)
    this.#pieces.trim()
  }

  drainFrees(): void {
    this.#context.checkAlive()
    for (const progress of this.#progress.values()) progress.synchronize()
    this.#streams.ends.synchronize()
    for (const allocator of [this.#small, this.#large]) allocator.harvest()
  }

  releaseIdle(): void {
    this.#refresh()
    for (const allocator of [this.#small, this.#large]) allocator.harvest()
    this.#releaseUnused()
  }

  trim(): void {
    this.#pieces.trim()
  }

  forgetStream(stream: StreamHandle): (() => void) | undefined {
    const progress = this.#progress.get(stream)
    this.#progress.delete(stream)
    progress?.end()
    return progress && (() => progress.passedAll())
  }

  noteIdle(stream: StreamHandle): void {
    this.#progress.get(stream)?.passedAll()
  }

  usage(): OwnUsage {
    const { used, peak } = this.#count
    return { used, reserved: this.#pieces.usage().reserved, peak }
  }

  resetPeak(): void {
    this.#count.resetPeak()
  }

  get isEmpty(): boolean {
    return this.#pieces.isEmpty
  }

  freeAll(): void {
    this.#pieces.freeAll()
  }

  close(): void {
    for (const progress of this.#progress.values()) progress.end()
    this.#pieces.close()
  }
}

function nothing(): boolean {
  return false
}

function smallPiece(byteLength: number, before: number): number {
  return Math.max(byteLength, Math.min(Math.max(before, FIRST_SMALL_PIECE), LARGEST_SMALL_PIECE))
}

function largePiece(byteLength: number): number {
  return byteLength <= LARGEST_SHARING ? SHARED_PIECE : byteLength
}
