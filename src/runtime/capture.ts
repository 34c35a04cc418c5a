import type { EventHandle, GraphHandle } from "../driver.js"
import { Allocation } from "./allocation.js"
import { Arena, ArenaArray } from "./arena.js"
import { context, runIn } from "./context.js"
import { GraphPlan, type Tip } from "./graph-plan.js"
import type { UsedMemory } from "./operation.js"
import type { DeviceOrder } from "./order.js"
import type { RecordPoint } from "./record-point.js"
import type { StreamState } from "./stream-state.js"
import type { Use } from "./uses.js"

/**
 * A capture: from its beginning to its end, what is queued on its streams does not run but becomes a graph. It starts
 * on a private stream; others come in by waiting for one that takes part.
 */
export class Capture {
  readonly order: DeviceOrder
  readonly plan = new GraphPlan()
  readonly arena: Arena
  /** What the graph names of memory that is not its own. */
  readonly kept = new Set<UsedMemory>()
  /** Pinned memory with the host's data, as it was at the call. */
  readonly pinned: number[] = []
  /** It was ended or cancelled. */
  over = false
  readonly #root: StreamState
  readonly #workspaces = new Map<StreamState, ArenaArray>()
  /** The streams that take part, each with the nodes that its next one comes directly after. */
  readonly #tips = new Map<StreamState, readonly Tip[]>()

  constructor(order: DeviceOrder, root: StreamState) {
    this.order = order
    this.#root = root
    this.arena = new Arena((byteLength) =>
      runIn(context().withCapture(undefined), () => Allocation.on(order.reaper, byteLength)),
    )
  }

  /** A failure leaves everything as it was. */
  begin(): void {
    this.order.driver.beginCapture(this.#root.handle)
    this.order.captures.begin(this)
    this.admit(this.#root, undefined)
  }

  /** A stream takes part from here on. `before` is recorded behind what it had queued. */
  admit(stream: StreamState, before: EventHandle | undefined): void {
    stream.joinCapture(this, before)
    this.#tips.set(stream, [])
  }

  addNode(stream: StreamState, label: string, tick: number): void {
    const node = this.plan.add(label, stream, this.tipsOf(stream))
    this.#tips.set(stream, [{ node, slot: stream.slot, tick }])
  }

  /** Comes before the stream's clock learns what the point knows: nodes that others of the two are behind go. */
  addWait(stream: StreamState, point: RecordPoint): void {
    const known = stream.clock
    const own = this.tipsOf(stream).filter(
      ({ node, slot, tick }) => !point.clock.covers(slot, tick) || point.tips.some((tip) => tip.node === node),
    )
    this.#tips.set(stream, [...own, ...point.tips.filter(({ slot, tick }) => !known.covers(slot, tick))])
  }

  tipsOf(stream: StreamState): readonly Tip[] {
    return this.#tips.get(stream) ?? []
  }

  /** The scratch memory of library calls on a stream, for the whole of the capture. */
  workspaceOf(stream: StreamState, byteLength: number): ArenaArray {
    const known = this.#workspaces.get(stream)
    if (known !== undefined) return known
    const workspace = this.arena.allocate(stream, byteLength)
    this.#workspaces.set(stream, workspace)
    return workspace
  }

  /** The graph names this memory. */
  keep(memory: UsedMemory): void {
    if (this.#owns(memory) || this.kept.has(memory)) return
    this.kept.add(memory)
    memory.retain()
  }

  /** Notes a use: inside the capture where it is the graph's own memory; of other memory, launches are the uses. */
  use(memory: UsedMemory, stream: StreamState, tick: number): void {
    if (this.#owns(memory)) memory.captureUses.note(stream, tick)
  }

  #owns(memory: UsedMemory): memory is ArenaArray {
    return memory instanceof ArenaArray && memory.arena === this.arena
  }

  /** Ends the capture. The graph can be launched. Forks that nobody joined are joined. A failure cancels it. */
  end(update: GraphHandle | undefined): GraphHandle {
    try {
      for (const stream of this.#tips.keys()) if (stream !== this.#root) this.#root.waitFor(stream)
    } catch (error) {
      this.cancel()
      throw error
    }
    let handle: GraphHandle | undefined
    try {
      handle = this.order.driver.endCapture(this.#root.handle, update)
      return handle
    } finally {
      this.#leave()
      if (handle === undefined) this.dispose([])
    }
  }

  /** Drops everything that was captured. */
  cancel(): void {
    if (this.over) return
    this.order.driver.cancelCapture(this.#root.handle)
    this.#leave()
    this.dispose([])
  }

  #leave(): void {
    this.over = true
    for (const stream of this.#tips.keys()) stream.leaveCapture()
    this.#tips.clear()
    this.arena.seal()
    this.order.captures.end(this)
  }

  /** Lets go of the memory, behind the launches. */
  dispose(launches: readonly Use[]): void {
    for (const memory of this.kept) memory.release(launches)
    this.kept.clear()
    this.arena.disposeBehind(launches)
    const pinned = this.pinned.splice(0)
    if (pinned.length > 0)
      this.order.giveBackBehind(launches, () => pinned.forEach((address) => this.#freePinned(address)))
  }

  #freePinned(address: number): void {
    this.order.driver.freePinned(address)
  }
}
