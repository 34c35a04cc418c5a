import type { ControlMemory } from "../control/control.js"
import type { Failures } from "./failures.js"
import { LEVELS } from "../control/layout.js"
import { Quarantine } from "./quarantine.js"
import { ChunkPool, HostStream, StreamSlot } from "./stream.js"
import { Rounds } from "../../common/rounds.js"

/** The streams of one device, by handle, and the slots of destroyed streams until they can be reused. */
export class StreamTable {
  readonly #streams: (HostStream | undefined)[] = [undefined]
  readonly #freeHandles: number[] = []
  readonly #slots: StreamSlot[] = []
  /** Destroyed streams whose work may not be done. */
  readonly #retired = new Rounds<HostStream>()
  /** Slots that new streams can use. */
  readonly #clean: StreamSlot[] = []
  readonly #quarantine = new Quarantine(this.#slots)
  readonly #chunks: ChunkPool
  readonly #control: ControlMemory
  readonly #failures: Failures

  constructor(control: ControlMemory, failures: Failures) {
    this.#control = control
    this.#failures = failures
    this.#chunks = new ChunkPool(control)
  }

  /** @param internal whether a graph uses the stream for a branch, so that no user knows it */
  create(priority: number, internal = false, name?: string): HostStream {
    const slot = this.#clean.pop() ?? this.#cleanSlot() ?? this.#newSlot()
    const handle = this.#freeHandles.pop() ?? this.#streams.length
    const stream = new HostStream(slot, handle, name ?? (internal ? "a branch of a graph" : `stream ${handle}`))
    stream.internal = internal
    slot.assign(stream, Math.min(LEVELS - 1, Math.max(0, -priority)))
    this.#streams[handle] = stream
    return stream
  }

  get(handle: number): HostStream {
    return this.#streams[handle] ?? noStream(handle)
  }

  /** The name of the stream that uses a control block, or used it last. */
  nameOf(block: number): string | undefined {
    return this.#slots.find((slot) => slot.block === block)?.owner?.name
  }

  destroy(handle: number): void {
    const stream = this.#streams[handle]
    if (stream === undefined) return
    this.#streams[handle] = undefined
    this.#freeHandles.push(handle)
    this.#retired.add(stream)
  }

  #newSlot(): StreamSlot {
    const slot = new StreamSlot(this.#control, this.#chunks)
    this.#slots.push(slot)
    this.#failures.addSlot(slot)
    return slot
  }

  /** A slot whose stream was destroyed and is done. Checks only a few of the candidates. */
  #cleanSlot(): StreamSlot | undefined {
    for (const stream of this.#retired.take(({ slot }) => slot.isIdle())) {
      if (this.#failures.of(stream) === undefined) this.#clean.push(stream.slot)
      else this.#quarantine.add(stream.slot)
    }
    for (const slot of this.#leaveQuarantine()) this.#clean.push(slot)
    return this.#clean.pop()
  }

  #leaveQuarantine(): readonly StreamSlot[] {
    const left = this.#quarantine.take()
    if (left.length === 0) return left
    // Streams that broke by waiting for these must learn why before it is forgotten.
    for (const { owner } of this.#slots) if (owner !== undefined) this.#failures.of(owner)
    for (const slot of left) {
      this.#failures.forget(slot)
      slot.owner = undefined
    }
    return left
  }
}

function noStream(handle: number): never {
  throw new RangeError(`there is no stream ${handle}`)
}
