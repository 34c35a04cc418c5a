import type { ControlMemory } from "./control.js"
import type { Failures } from "./failures.js"
import { LEVELS } from "./layout.js"
import { ChunkPool, HostStream, StreamSlot } from "./stream.js"

/** The slot of a broken stream that is gone; it is clean once these positions are passed. */
interface Quarantine {
  readonly slot: StreamSlot
  readonly until: readonly { readonly slot: StreamSlot; readonly position: number }[]
}

/** The streams of one device, by handle; and what is left of destroyed ones until their work is over. */
export class StreamTable {
  private readonly streams: (HostStream | undefined)[] = [undefined]
  private readonly freeHandles: number[] = []
  private readonly slots: StreamSlot[] = []
  private readonly retired: HostStream[] = []
  private readonly quarantine: Quarantine[] = []
  private readonly chunks: ChunkPool

  constructor(
    private readonly control: ControlMemory,
    private readonly failures: Failures,
  ) {
    this.chunks = new ChunkPool(control)
  }

  /** @param internal nobody outside the driver knows of it */
  create(priority: number, internal = false): HostStream {
    const slot = this.cleanSlot() ?? this.newSlot()
    const handle = this.freeHandles.pop() ?? this.streams.length
    const stream = new HostStream(slot, handle)
    stream.internal = internal
    slot.assign(stream, Math.min(LEVELS - 1, Math.max(0, -priority)))
    this.streams[handle] = stream
    return stream
  }

  get(handle: number): HostStream {
    const stream = this.streams[handle]
    if (stream === undefined) throw new RangeError(`there is no stream ${handle}`)
    return stream
  }

  destroy(handle: number): void {
    const stream = this.streams[handle]
    if (stream === undefined) return
    this.streams[handle] = undefined
    this.freeHandles.push(handle)
    this.retired.push(stream)
  }

  private newSlot(): StreamSlot {
    const slot = new StreamSlot(this.control, this.chunks)
    this.slots.push(slot)
    this.failures.addSlot(slot)
    return slot
  }

  /** A slot whose last stream is destroyed and done. */
  private cleanSlot(): StreamSlot | undefined {
    for (let tries = this.retired.length; tries > 0; tries--) {
      const stream = this.retired.shift()
      if (stream === undefined) break
      const { slot } = stream
      if (!slot.isIdle()) this.retired.push(stream)
      else if (this.failures.of(stream) === undefined) return slot
      else this.isolate(slot)
    }
    return this.leaveQuarantine()
  }

  /** Waits that name a broken stream may still be queued; they have to find it broken. */
  private isolate(slot: StreamSlot): void {
    const until = this.slots.filter((other) => !other.isIdle()).map((other) => ({ slot: other, position: other.tail }))
    this.quarantine.push({ slot, until })
  }

  private leaveQuarantine(): StreamSlot | undefined {
    const index = this.quarantine.findIndex(({ until }) =>
      until.every(({ slot, position }) => slot.hasPassed(position)),
    )
    const [left] = index < 0 ? [] : this.quarantine.splice(index, 1)
    if (left === undefined) return undefined
    // Who broke by waiting for it is told why, before that is forgotten.
    for (const { owner } of this.slots) if (owner !== undefined) this.failures.of(owner)
    this.failures.forget(left.slot)
    return left.slot
  }
}
