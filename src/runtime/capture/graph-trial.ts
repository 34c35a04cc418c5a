/**
 * A graph whose policy has not decided yet: besides the graph's own executable, in which branches run side by side, there
 * is its chain, in which they run one after another. Launches alternate between both. It must never change what a launch
 * computes, or in which order launches run.
 */
import type { GraphHandle } from "../../driver/handles.js"
import type { DeviceOrder } from "../order/device-order.js"
import type { Asked } from "../order/policy/overlap-options.js"
import type {
  GraphOverlap,
  OverlapEntry,
  OverlapKey,
  OverlapMode,
  OverlapPhase,
  OverlapPolicy,
  OverlapTurn,
} from "../order/policy/overlap-policy.js"
import type { StreamState } from "../order/stream-state.js"
import type { GraphPlan } from "./graph-plan.js"

/** A policy's part in one graph. */
export class GraphPolicy {
  readonly #policy: OverlapPolicy
  readonly #key: OverlapKey
  readonly #entry: OverlapEntry

  constructor(order: DeviceOrder, { policy, key }: Asked) {
    this.#policy = policy
    this.#key = key
    this.#entry = policy.capturedEntry(order, key)
  }

  /** What was decided; undefined before that. */
  get decision(): OverlapMode | undefined {
    return this.#entry.decision
  }

  /** Whether a graph with this plan is a chain before anything was measured. One with a resident kernel always is. */
  wantsChain(plan: GraphPlan): boolean {
    if (!plan.isChainable) return false
    if (!plan.isResident) return this.#entry.decision === "sequential"
    this.#entry.wasResident()
    return true
  }

  next(stream: StreamState): OverlapTurn {
    return this.#entry.next(stream)
  }

  /** The graph can no longer be measured. */
  abandon(): void {
    this.#entry.abandon()
  }

  overlap(mode: OverlapMode, phase: OverlapPhase): GraphOverlap {
    return { mode, policy: { name: this.#policy.name, key: this.#key, phase } }
  }
}

/** See the head of this file. */
export class GraphTrial {
  readonly policy: GraphPolicy
  /** The executable in which operations run one after another. */
  readonly chained: GraphHandle

  private constructor(policy: GraphPolicy, chained: GraphHandle) {
    this.policy = policy
    this.chained = chained
  }

  /** @returns undefined if the graph cannot be measured */
  static begin(policy: GraphPolicy, order: DeviceOrder, plan: GraphPlan, handle: GraphHandle): GraphTrial | undefined {
    if (!plan.isChainable) return undefined
    try {
      return new GraphTrial(policy, order.driver.graphs.chain(handle))
    } catch {
      return undefined // There is no memory for it, or the driver cannot make it. The graph itself is complete.
    }
  }
}
