/**
 * Copying from the caller's own memory. CUDA would wait for the stream before it read pageable memory, so the bytes are
 * taken at once, into pinned blocks from which the stream copies when it gets there. A block is used again when an event
 * behind its copy has passed.
 */
import type { EventHandle, StreamHandle } from "../../driver.js"
import type { Captures } from "../stream/captures.js"
import type { CudaContext } from "../api/context.js"
import { type EventPool, hasPassed } from "../stream/events.js"
import type { Borrowed, PinnedBlock, PinnedPool } from "./pinned.js"
import { SUCCESS } from "../api/status.js"
import { Rounds } from "../../common/rounds.js"
import { warn } from "../../common/warn.js"

/** Larger sources take several blocks, which are more likely to be found again than one of their size. */
const LARGEST_BLOCK = 16 * 1024 * 1024

interface Staged {
  readonly blocks: readonly PinnedBlock[]
  /** Behind the last copy out of the blocks. */
  readonly event: EventHandle
}

/** The uploads of one device. */
export class Uploads implements Borrowed {
  readonly #context: CudaContext
  readonly #events: EventPool
  readonly #pool: PinnedPool
  /** Uploads whose copies may be going on, by stream, oldest first: a stream that is held up holds up only its own. */
  readonly #staged = new Map<StreamHandle, Staged[]>()
  /** The same streams, to be looked at in their turn. */
  readonly #streams = new Rounds<StreamHandle>()
  /** Read by other libraries' graphs at each launch, for who knows how long. */
  readonly #captured: PinnedBlock[] = []
  readonly #captures: Captures

  constructor(context: CudaContext, captures: Captures, events: EventPool, pool: PinnedPool) {
    this.#context = context
    this.#captures = captures
    this.#events = events
    this.#pool = pool
  }

  /** Queues a copy; the source has been read when it returns. @throws OutOfMemoryError without pinned memory for it */
  upload(destination: number, source: Uint8Array, stream: StreamHandle): void {
    const staged = this.#staged.get(stream)
    if (staged !== undefined) this.#reclaim(staged)
    const blocks = this.#stage(source)
    let offset = 0
    try {
      for (const block of blocks) {
        const byteLength = Math.min(LARGEST_BLOCK, source.length - offset)
        this.#context.queue("cuMemcpyAsync", destination + offset, block.address, byteLength, stream)
        offset += byteLength
      }
    } finally {
      this.#keepUntilCopied(blocks, stream)
    }
  }

  /** Takes the bytes into blocks: all, or none if there is no memory for all. */
  #stage(source: Uint8Array): PinnedBlock[] {
    const blocks: PinnedBlock[] = []
    try {
      for (let offset = 0; offset < source.length; offset += LARGEST_BLOCK) {
        const piece = source.subarray(offset, offset + LARGEST_BLOCK)
        const block = this.#pool.take(piece.length)
        blocks.push(block)
        block.bytes.set(piece)
      }
      return blocks
    } catch (error) {
      for (const block of blocks) this.#pool.give(block)
      throw error
    }
  }

  /** Keeps the blocks until the stream has passed what is queued now. Copies may be queued: nothing may throw here. */
  #keepUntilCopied(blocks: readonly PinnedBlock[], stream: StreamHandle): void {
    try {
      if (this.#captures.isCapturingForAnyone(stream)) {
        this.#captured.push(...blocks)
        return
      }
      const event = this.#events.record(stream)
      for (const block of blocks) this.#pool.watch(block)
      const staged = this.#staged.get(stream)
      if (staged !== undefined) return void staged.push({ blocks, event })
      this.#staged.set(stream, [{ blocks, event }])
      this.#streams.add(stream)
    } catch (error) {
      if (this.#context.isLost) return
      warn("AUX_LEAK", `${this.#context.label}: pinned memory that an upload was staged in is leaked. ${String(error)}`)
    }
  }

  /** Takes back what a stream has copied. What cannot be told now is asked again later. @throws DeviceLostError */
  #reclaim(staged: Staged[]): void {
    for (const { event, blocks } of staged.splice(0, this.#countCopied(staged))) {
      this.#events.give(event)
      for (const block of blocks) this.#pool.give(block)
    }
  }

  #countCopied(staged: readonly Staged[]): number {
    let count = 0
    try {
      for (const { event } of staged) {
        if (!hasPassed(this.#context, event)) break
        count++
      }
    } catch (error) {
      if (this.#context.isLost) throw error
    }
    return count
  }

  /** Takes back what a few streams, in their turn, have copied. @throws DeviceLostError */
  reclaim(): void {
    this.#forget(this.#streams.take((stream) => this.#isOver(stream)))
  }

  /** See {@link Borrowed.reclaimAll}. @throws DeviceLostError */
  reclaimAll(): boolean {
    this.#forget(this.#streams.takeAll((stream) => this.#isOver(stream)))
    return [...this.#staged.values()].some((staged) => staged.some(({ blocks }) => blocks.some((one) => one.isMapped)))
  }

  #isOver(stream: StreamHandle): boolean {
    const staged = this.#staged.get(stream)
    if (staged !== undefined) this.#reclaim(staged)
    return staged === undefined || staged.length === 0
  }

  #forget(streams: readonly StreamHandle[]): void {
    for (const stream of streams) this.#staged.delete(stream)
  }

  /** Blocks until everything that is staged has been copied, and takes it back. @throws DeviceLostError, CudaError */
  drain(): void {
    for (const staged of this.#staged.values()) {
      const newest = staged.at(-1)
      if (newest === undefined) continue
      const status = this.#context.calls.cuEventSynchronize(newest.event)
      if (status !== SUCCESS) this.#context.retry(status, "cuEventSynchronize", newest.event)
    }
    this.reclaimAll()
  }

  /** Gives all back. Nothing is queued any more. */
  close(): void {
    for (const { event, blocks } of [...this.#staged.values()].flat()) {
      this.#events.give(event)
      for (const block of blocks) this.#pool.give(block)
    }
    for (const block of this.#captured.splice(0)) this.#pool.give(block)
    this.#staged.clear()
    this.#streams.clear()
  }
}
