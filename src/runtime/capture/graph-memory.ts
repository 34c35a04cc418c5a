import { Allocation } from "../memory/allocation.js"
import { Arena } from "./arena.js"
import type { StreamFailures } from "../../driver/streams.js"
import { GraphAccesses } from "./graph-accesses.js"
import type { ModuleMemory } from "../memory/module-memory.js"
import type { LaunchGroup } from "../memory/launch-group.js"
import type { UsedMemory } from "../memory/used-memory.js"
import type { Access } from "../order/observer/operation.js"
import type { DeviceOrder } from "../order/device-order.js"
import type { Prerequisites } from "./prerequisites.js"
import { RetainedMemory } from "../memory/retained.js"
import type { Use } from "../order/stream-state.js"

/**
 * Everything that a graph keeps alive: the memory of arrays made inside, other memory that its operations use, copies of
 * the host's data, and the same for graphs and bodies that are part of it. It is released once no graph holds it and the
 * last launch is done.
 */
export class GraphMemory extends RetainedMemory {
  readonly arena: Arena
  /** The memory from outside that the operations use, with the number of operands. */
  readonly #kept = new Map<UsedMemory, number>()
  #accesses: GraphAccesses
  /** Describes the accesses of each node, if nodes have changed since the accesses were collected. */
  #changed: (() => readonly (readonly Access[])[]) | undefined
  /** The accesses of graphs and bodies that are part of this one, by node, as they were when they became part of it. */
  readonly #included = new Map<number, { readonly accesses: GraphAccesses; readonly isBody: boolean }>()
  /** Addresses of pinned memory with the host's data. */
  readonly pinned: number[] = []
  /** The modules of its kernels, because a driver may unload a module that is unreachable. */
  readonly #modules = new Set<ModuleMemory>()
  readonly #parts = new Set<GraphMemory>()
  readonly #order: DeviceOrder

  /** @param around the memory of the enclosing graph, for a body. Arrays of both end with that graph */
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

  /** Notes another operand in this memory, which was made outside. */
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

  /** Notes that an operand no longer uses this memory. It is kept until these launches are over. */
  drop(memory: UsedMemory, launches: readonly Use[]): void {
    const count = this.#kept.get(memory) ?? 0
    if (count > 1) this.#kept.set(memory, count - 1)
    else if (this.#kept.delete(memory)) memory.release(launches)
  }

  /** Makes another graph, or a body, part of this one, as this node. */
  include(part: GraphMemory, node: number, isBody: boolean): void {
    const { accesses } = part
    this.#included.set(node, { accesses, isBody })
    this.accesses.include(accesses, isBody)
    if (this.#parts.has(part)) return
    this.#parts.add(part)
    part.retain()
  }

  /** The accesses to memory that was made outside. */
  get accesses(): GraphAccesses {
    if (this.#changed !== undefined) this.#collectAccesses(this.#changed())
    return this.#accesses
  }

  /** Called when nodes have changed. `describe` returns the accesses of each; it is called only when they are needed. */
  accessesChanged(describe: () => readonly (readonly Access[])[]): void {
    this.#changed = describe
  }

  #collectAccesses(nodes: readonly (readonly Access[])[]): void {
    this.#changed = undefined
    // Graphs that include this one still refer to the former object.
    this.#accesses = new GraphAccesses(this.arena.writes)
    for (const [place, accesses] of nodes.entries()) {
      this.#accesses.add(accesses)
      const part = this.#included.get(place)
      if (part !== undefined) this.#accesses.include(part.accesses, part.isBody)
    }
  }

  /** Orders launches of this graph and of the group's graphs one after another, because they share memory. */
  joinGroup(group: LaunchGroup): void {
    group.unite(this.arena.launchGroup)
    for (const { launchGroup } of this.kept) group.unite(launchGroup)
    for (const part of this.#parts) part.joinGroup(group)
  }

  /** Throws if a launch would read contents that a failed kernel should have written. */
  checkWritten(): void {
    this.accesses.check()
  }

  /** Notes the writes of the launch that was queued last on a stream. */
  noteWrites(stream: StreamFailures): void {
    this.accesses.note(stream)
  }

  /** The allocations of the memory. Every launch is ordered after them. */
  addTo(prerequisites: Prerequisites): void {
    for (const memory of [...this.arena.allocations, ...this.kept]) prerequisites.add(memory)
    for (const part of this.#parts) part.addTo(prerequisites)
  }

  /** Ends the arrays made inside, and releases everything that no other graph holds. */
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
    this.#order.deferredReleases.add(uses, () =>
      pinned.forEach((address) => this.#order.driver.memory.freePinned(address)),
    )
  }
}
