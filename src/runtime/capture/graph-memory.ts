import { Allocation } from "../memory/allocation.js"
import { Arena } from "./arena.js"
import type { StreamFailures } from "../../driver.js"
import { GraphAccesses } from "./graph-accesses.js"
import type { ModuleMemory } from "../memory/module-memory.js"
import type { LaunchGroup } from "../memory/launch-group.js"
import type { UsedMemory } from "../memory/used-memory.js"
import type { Access } from "../order/operation.js"
import type { DeviceOrder } from "../order/device-order.js"
import type { Prerequisites } from "./prerequisites.js"
import { RetainedMemory } from "../memory/retained.js"
import type { Use } from "../order/use.js"

/**
 * All that a graph keeps alive: the memory of arrays made inside, whatever else its operations name, the host's data as
 * it was at the call, and the same of the graphs and bodies that are part of it. It stays until nobody holds it and the
 * last launch is done.
 */
export class GraphMemory extends RetainedMemory {
  readonly arena: Arena
  /** What the operations name of memory that was not made inside, and how often. */
  readonly #kept = new Map<UsedMemory, number>()
  #accesses: GraphAccesses
  /** What each node does with memory, if nodes have changed since the accesses were put together. */
  #changed: (() => readonly (readonly Access[])[]) | undefined
  /** What the graphs and bodies that became part of this one did with memory at that time, by node. */
  readonly #included = new Map<number, { readonly accesses: GraphAccesses; readonly isBody: boolean }>()
  /** Addresses of pinned memory with the host's data. */
  readonly pinned: number[] = []
  /** What its launches run: a driver may unload a module that nobody holds any more. */
  readonly #modules = new Set<ModuleMemory>()
  readonly #parts = new Set<GraphMemory>()
  readonly #order: DeviceOrder

  /** `around`: of the graph that this one is a body in, whose end is the end of the arrays made in either. */
  constructor(order: DeviceOrder, around?: GraphMemory) {
    super()
    this.#order = order
    const allocate = (byteLength: number) => Allocation.on(order.source, byteLength)
    const allocateOutside = (byteLength: number) => order.captures.outside(() => allocate(byteLength))
    this.arena = new Arena(allocateOutside, around?.arena)
    this.arena.retain()
    this.#accesses = new GraphAccesses(this.arena.writes)
  }

  get kept(): Iterable<UsedMemory> {
    return this.#kept.keys()
  }

  /** One more operand is this memory, which was not made inside. */
  keep(memory: UsedMemory): void {
    const count = this.#kept.get(memory) ?? 0
    this.#kept.set(memory, count + 1)
    if (count === 0) memory.retain()
  }

  /** The graph launches a kernel of this module. */
  keepModule(module: ModuleMemory): void {
    if (this.#modules.has(module)) return
    this.#modules.add(module)
    module.retain()
  }

  /** One operand less is this memory. It is kept until these launches are over. */
  letGo(memory: UsedMemory, launches: readonly Use[]): void {
    const count = this.#kept.get(memory) ?? 0
    if (count > 1) this.#kept.set(memory, count - 1)
    else if (this.#kept.delete(memory)) memory.release(launches)
  }

  /** Another graph, or a body, becomes part of this one, as this node. */
  include(part: GraphMemory, node: number, isBody: boolean): void {
    const { accesses } = part
    this.#included.set(node, { accesses, isBody })
    this.accesses.include(accesses, isBody)
    if (this.#parts.has(part)) return
    this.#parts.add(part)
    part.retain()
  }

  /** What the graph does with memory that was not made inside. */
  get accesses(): GraphAccesses {
    if (this.#changed !== undefined) this.#putTogether(this.#changed())
    return this.#accesses
  }

  /** Nodes have changed: `describe` says what each does with memory, once somebody needs to know. */
  describeAnew(describe: () => readonly (readonly Access[])[]): void {
    this.#changed = describe
  }

  #putTogether(nodes: readonly (readonly Access[])[]): void {
    this.#changed = undefined
    // Graphs that include this one still hold the former object.
    this.#accesses = new GraphAccesses(this.arena.writes)
    for (const [place, accesses] of nodes.entries()) {
      this.#accesses.add(accesses)
      const part = this.#included.get(place)
      if (part !== undefined) this.#accesses.include(part.accesses, part.isBody)
    }
  }

  /** Launches of this graph and of the group's are to run one after another, as they share memory. */
  joinGroup(group: LaunchGroup): void {
    group.unite(this.arena.launchGroup)
    for (const { launchGroup } of this.kept) group.unite(launchGroup)
    for (const part of this.#parts) part.joinGroup(group)
  }

  /** Refuses a launch that would use what a failure has left. */
  checkWritten(): void {
    this.accesses.check()
  }

  /** Notes what the launch that was queued last on a stream writes. */
  noteWrites(stream: StreamFailures): void {
    this.accesses.note(stream)
    this.#noteOwnWrites(stream)
  }

  #noteOwnWrites(stream: StreamFailures): void {
    this.arena.writes.overwrite(stream, 0, Infinity)
    for (const part of this.#parts) part.#noteOwnWrites(stream)
  }

  /** Where the memory comes from: what every launch is ordered behind. */
  addTo(prerequisites: Prerequisites): void {
    for (const memory of [...this.arena.allocations, ...this.kept]) prerequisites.add(memory)
    for (const part of this.#parts) part.addTo(prerequisites)
  }

  /** Its owner has no use for it any more: arrays that were made inside end, and what nobody else holds is given back. */
  disposeBehind(launches: readonly Use[]): void {
    for (const use of launches) this.uses.add(use)
    this.arena.dispose()
    this.dispose()
  }

  protected override free(): void {
    const uses = this.uses.list()
    this.arena.dispose()
    for (const memory of [...this.kept, ...this.#parts, ...this.#modules, this.arena]) memory.release(uses)
    this.#modules.clear()
    const pinned = this.pinned.splice(0)
    if (pinned.length === 0) return
    this.#order.releaseAfter(uses, () => pinned.forEach((address) => this.#order.driver.memory.freePinned(address)))
  }
}
