/**
 * Device memory cut by ourselves out of large pieces of the driver's, in the streams' order, which the runtime's clocks
 * know. An allocation or a free in a stream's order takes the driver a microsecond; and once a stream has had one, every
 * record and every wait costs more on it for good (measured on an H200, driver 580). Nothing of that happens here: what
 * a stream has freed it gets again by looking it up.
 */
import { Allocator, type MemorySource, type Stretch } from "../../allocator/allocator.js"
import { MemoryCount } from "../../allocator/memory-count.js"
import type { MemoryUsage, OrderMark, StreamHandle } from "../../driver.js"
import { OutOfMemoryError } from "../../common/errors.js"
import type { Captures } from "../stream/captures.js"
import type { CudaContext } from "../api/context.js"
import type { DriverMemory } from "./driver-memory.js"
import type { EventPool } from "../stream/events.js"
import type { DeviceMemory } from "./device-memory.js"
import { StreamProgress } from "./stream-progress.js"
import type { Streams } from "../stream/streams.js"

const MIB = 2 ** 20
/** Smaller arrays are kept apart from larger ones, so that none of them holds on to a large piece of memory. */
const LARGEST_SMALL = MIB
const FIRST_SMALL_PIECE = 2 * MIB
const LARGEST_SMALL_PIECE = 32 * MIB
/** Larger arrays have a piece for each: what is left of a shared one is too little for the next. */
const LARGEST_SHARING = 8 * MIB
const SHARED_PIECE = 32 * MIB
/** A watched free costs a microsecond, so small ones are watched only now and then. */
const SMALL_FREES_PER_WATCHER = 16

/** Each array a part of a larger piece. */
export class OwnMemory implements DeviceMemory {
  readonly #context: CudaContext
  readonly #streams: Streams
  readonly #captures: Captures
  readonly #events: EventPool
  readonly #pieces: DriverMemory
  readonly #count = new MemoryCount()
  readonly #small: Allocator<StreamProgress>
  readonly #large: Allocator<StreamProgress>
  /** Of the streams that have freed something. */
  readonly #progress = new Map<StreamHandle, StreamProgress>()
  /** Stands for all streams that have freed nothing. */
  readonly #withoutFrees: StreamProgress

  /** `pieces` is where memory comes from. */
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

  allocate(byteLength: number, stream: StreamHandle, covers: (mark: OrderMark) => boolean): number {
    this.#context.checkAlive()
    // What is captured runs nobody knows when, so that it is behind nothing.
    if (this.#captures.isCapturingForAnyone(stream)) return this.#allocate(byteLength, this.#withoutFrees, nothing)
    return this.#allocate(byteLength, this.#progress.get(stream) ?? this.#withoutFrees, covers)
  }

  #allocate(byteLength: number, progress: StreamProgress, covers: (mark: OrderMark) => boolean): number {
    const [first, second] = byteLength <= LARGEST_SMALL ? [this.#small, this.#large] : [this.#large, this.#small]
    try {
      return first.allocate(byteLength, progress, covers)
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error
      return second.allocate(byteLength, progress, covers) // Better out of place than not at all.
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

  /** A piece of the size that is wanted, else of the least one that will do, else once what nobody uses is given back. */
  #takePiece(least: number, wanted: number): Stretch | undefined {
    const stretch = this.#tryToTake(wanted) ?? (wanted > least ? this.#tryToTake(least) : undefined)
    if (stretch !== undefined) return stretch
    this.#giveBackUnused()
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
    this.#unlessLost(() => this.#streams.forgetEnded())
    for (const progress of this.#progress.values()) {
      this.#unlessLost(
        () => progress.refresh(),
        () => progress.unwatch(),
      )
    }
  }

  /** What is wrong with one stream, which others may use, too, is none of another one's business. */
  #unlessLost(look: () => void, otherwise?: () => void): void {
    try {
      look()
    } catch (error) {
      if (this.#context.isLost) throw error
      otherwise?.()
    }
  }

  #giveBackUnused(): void {
    if (this.#pieces.isEmpty) return
    const { outside } = this.#pieces
    for (const allocator of [this.#small, this.#large]) {
      allocator.releaseUnused(({ address }) => this.#pieces.free(address, outside))
    }
    // Not behind what is queued elsewhere: who wants memory must not wait.
    this.#streams.await(outside)
    this.#pieces.trim()
  }

  drainFrees(): void {
    this.#context.checkAlive()
    for (const progress of this.#progress.values()) progress.await()
    this.#streams.awaitEnded()
    for (const allocator of [this.#small, this.#large]) allocator.harvest()
  }

  giveBackIdle(): void {
    this.#refresh()
    for (const allocator of [this.#small, this.#large]) allocator.harvest()
    this.#giveBackUnused()
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

  hasPassed(stream: StreamHandle): void {
    this.#progress.get(stream)?.passedAll()
  }

  usage(): MemoryUsage {
    const { used, peak } = this.#count
    return { used, reserved: this.#pieces.usage().reserved, peak }
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
