/**
 * Changes to single operations of a captured graph, for launches that are queued later. They must never add or remove
 * operations, or change their order.
 */
import type { GraphHandle, KernelHandle, NodeHandle } from "../../driver/handles.js"
import type { KernelArgument } from "../../driver/kernels.js"
import { AuxstreamError } from "../../common/errors.js"
import { ArenaArray } from "./arena.js"
import { memoryOf } from "./graph-accesses.js"
import type { GraphMemory } from "./graph-memory.js"
import type { GraphPlan } from "./graph-plan.js"
import type { Access } from "../order/observer/operation.js"
import type { DeviceOrder } from "../order/device-order.js"
import type { Use } from "../order/stream-state.js"
import type { UsedMemory } from "../memory/used-memory.js"

/** Other arguments for a launch, checked against the kernel's signature. */
export interface NodeArguments {
  readonly kernel: KernelHandle
  readonly operands: readonly KernelArgument[]
  readonly structs: Uint8Array | undefined
  /** How the launch uses the arrays among the arguments. */
  readonly accesses: readonly Access[]
}

/** Calls a function with each executable of a graph that is to be changed. */
export type GraphChange = (change: (graph: GraphHandle) => void) => void

const none: readonly Access[] = []

/** The operations of one graph that can be changed, by their indices in the plan. */
export class NodeChanges {
  readonly #order: DeviceOrder
  readonly #plan: GraphPlan
  readonly #memory: GraphMemory
  readonly #handles = new Map<number, NodeHandle>()
  /** The disabled nodes. In the plan they use no memory; here is what they use once they are enabled. */
  readonly #disabled = new Map<number, readonly Access[]>()

  constructor(order: DeviceOrder, plan: GraphPlan, memory: GraphMemory) {
    this.#order = order
    this.#plan = plan
    this.#memory = memory
  }

  /** Notes that the operation captured last can be changed. */
  allow(place: number, handle: NodeHandle): void {
    this.#handles.set(place, handle)
  }

  canChange(place: number): boolean {
    return this.#handles.has(place)
  }

  get hasDisabled(): boolean {
    return this.#disabled.size > 0
  }

  isEnabled(place: number): boolean {
    return !this.#disabled.has(place)
  }

  setEnabled(changeEach: GraphChange, place: number, enabled: boolean): void {
    const node = this.handleOf(place)
    changeEach((graph) => this.#order.driver.graphs.setNodeEnabled(graph, node, enabled))
    const accesses = this.#accessesOf(place)
    if (enabled) this.#disabled.delete(place)
    else this.#disabled.set(place, none)
    this.#plan.setAccesses(place, none)
    this.#setAccesses(place, accesses)
  }

  /**
   * @param launches the graph's launches so far. The former arrays are kept until these are over
   * @returns the memory of the new arrays that was made outside of the capture
   */
  setArguments(
    changeEach: GraphChange,
    place: number,
    { kernel, operands, structs, accesses }: NodeArguments,
    launches: readonly Use[],
  ): UsedMemory[] {
    this.#checkBirths(place, accesses)
    const node = this.handleOf(place)
    changeEach((graph) => this.#order.driver.graphs.setNodeArguments(graph, node, kernel, operands, structs))
    const former = this.#accessesOf(place)
    this.#setAccesses(place, [...accesses, ...former.filter(({ role }) => role.argument === undefined)])
    const added = this.#outside(accesses)
    for (const memory of added) this.#memory.keep(memory)
    const arrays = former.filter(({ role }) => role.argument !== undefined)
    for (const memory of this.#outside(arrays)) this.#memory.drop(memory, launches)
    return added
  }

  #accessesOf(place: number): readonly Access[] {
    return this.#disabled.get(place) ?? this.#plan.at(place).accesses
  }

  #setAccesses(place: number, accesses: readonly Access[]): void {
    if (this.#disabled.has(place)) this.#disabled.set(place, accesses)
    else this.#plan.setAccesses(place, accesses)
    this.#memory.accessesChanged(() => this.#plan.nodes.map((node) => node.accesses))
  }

  /** The handle of a node that can be changed. */
  handleOf(place: number): NodeHandle {
    const handle = this.#handles.get(place)
    if (handle === undefined) throw new RangeError(`Node ${place} cannot be changed.`)
    return handle
  }

  /** Throws if an array was made inside at a point that is not ordered before the operation. */
  #checkBirths(place: number, accesses: readonly Access[]): void {
    for (const {
      memory,
      role: { argument },
    } of accesses) {
      if (!(memory instanceof ArenaArray) || memory.arena !== this.#memory.arena) continue
      const birth = memory.capturedBirth
      if (birth === undefined || birth.nodes.every((node) => this.#plan.isBehind(place, node))) continue
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `Argument ${argument} of node ${place} must be an array that exists before the node runs; got one that the graph ` +
          "makes later, or in an unordered branch. Its memory may be another array's until then.",
      )
    }
  }

  /** The memory of these accesses that was made outside of the capture. */
  #outside(accesses: readonly Access[]): UsedMemory[] {
    const { arena } = this.#memory
    return accesses
      .map(memoryOf)
      .filter((memory) => memory !== undefined)
      .filter((memory) => !(memory instanceof ArenaArray && memory.arena === arena))
  }
}
