/**
 * Copies from the caller's own memory. CUDA reads pageable memory only when the stream gets there, and blocks until then.
 * So an upload copies the bytes into pinned blocks at the call, and the stream copies from these. A block must never be
 * reused before the event after its copy is complete.
 */
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { Captures } from "../stream/captures.js"
import type { CudaContext } from "../api/context.js"
import { type EventPool, hasPassed } from "../stream/event-pool.js"
import type { BlockUsers, PinnedBlock, PinnedPool } from "./pinned.js"
import { SUCCESS } from "../api/status.js"
import { Rounds } from "../../common/rounds.js"
import { warn } from "../../common/warn.js"

/** A larger source takes several blocks, which are more likely to be reused than one block of its size. */
const LARGEST_BLOCK = 16 * 1024 * 1024

interface Staged {
  readonly blocks: readonly PinnedBlock[]
  /** Recorded after the last copy from the blocks. */
  readonly event: EventHandle
}

/** The uploads of one device. */
export class Uploads implements BlockUsers {
  readonly #context: CudaContext
  readonly #events: EventPool
  readonly #pool: PinnedPool
  /** Uploads whose copies may still run, by stream, oldest first, so that a stalled stream keeps only its own blocks. */
  readonly #staged = new Map<StreamHandle, Staged[]>()
  /** The same streams, checked a few at a time. */
  readonly #streams = new Rounds<StreamHandle>()
  /** Blocks that another library's graph reads at each launch. They are kept until the device is closed. */
  readonly #captured: PinnedBlock[] = []
  readonly #captures: Captures

  constructor(context: CudaContext, captures: Captures, events: EventPool, pool: PinnedPool) {
    this.#context = context
    this.#captures = captures
    this.#events = events
    this.#pool = pool
  }

  /** Queues a copy. The source has been read when it returns. @throws OutOfMemoryError if there is no pinned memory */
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

  /** Copies the bytes into blocks. If there is not enough memory, it keeps no block. */
  #stage(source: Uint8Array): PinnedBlock[] {
    const blocks: PinnedBlock[] = []
    try {
      for (let offset = 0; offset < source.length; offset += LARGEST_BLOCK) {
        const piece = source.subarray(offset, offset + LARGEST_BLOCK)
        const block = this.#pool.acquire(piece.length)
        blocks.push(block)
        block.bytes.set(piece)
      }
      return blocks
    } catch (error) {
      for (const block of blocks) this.#pool.release(block)
      throw error
    }
  }

  /** Keeps the blocks until the stream has passed the work queued now. Must not throw, because copies may be queued. */
  #keepUntilCopied(blocks: readonly PinnedBlock[], stream: StreamHandle): void {
    try {
      if (this.#captures.isInAnyCapture(stream)) {
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
      warn("AUX_LEAK", `${this.#context.label}: pinned memory of an upload is leaked. ${String(error)}`)
    }
  }

  /** Releases the blocks that a stream has copied. A failed query is retried later. @throws DeviceLostError */
  #reclaim(staged: Staged[]): void {
    for (const { event, blocks } of staged.splice(0, this.#countCopied(staged))) {
      this.#events.release(event)
      for (const block of blocks) this.#pool.release(block)
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

  /** Releases the copied blocks of the next few streams. @throws DeviceLostError */
  reclaim(): void {
    this.#forget(this.#streams.take((stream) => this.#isOver(stream)))
  }

  /** See {@link BlockUsers.reclaimAll}. @throws DeviceLostError */
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

  /** Blocks until everything staged has been copied, and releases it. @throws DeviceLostError, CudaError */
  drain(): void {
    for (const staged of this.#staged.values()) {
      const newest = staged.at(-1)
      if (newest === undefined) continue
      const status = this.#context.calls.cuEventSynchronize(newest.event)
      if (status !== SUCCESS) this.#context.retry(status, "cuEventSynchronize", newest.event)
    }
    this.reclaimAll()
  }

  /** Releases all blocks and events. Nothing may be queued any more. */
  close(): void {
    for (const { event, blocks } of [...this.#staged.values()].flat()) {
      this.#events.release(event)
      for (const block of blocks) this.#pool.release(block)
    }
    for (const block of this.#captured.splice(0)) this.#pool.release(block)
    this.#staged.clear()
    this.#streams.clear()
  }
}
