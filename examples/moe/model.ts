/**
 * Mixture-of-experts layers, as inference engines run them: a router picks a few experts for each token, and
 * one shared expert processes every token. The two branches read the same input and do not depend on each other, so they
 * run side by side on two streams.
 */

import type { Device, DeviceArray } from "auxstream"
import { matmul } from "auxstream/blas"
import { combine, embed, expertDown, expertUp, type Findings, rmsNorm, route, type Routing, swiglu } from "./kernels.js"
import type { Sizes } from "./sizes.js"
import type { LayerWeights, ModelWeights } from "./weights.js"

const EPSILON = 1e-6

/** What the routed branch of a layer computes. */
type Routed = Pick<Findings, "routing" | "routed">
/** What the shared branch computes. */
type Shared = DeviceArray<"float32">

/** Calls the two branches of a layer, which do not depend on each other: in sequence or side by side. */
export type Branches = (routed: () => Routed, shared: () => Shared) => readonly [Routed, Shared]

/** The result of a layer. */
export interface LayerOutput extends Findings {
  /** [tokens][hidden], the state of all tokens after it. */
  readonly next: DeviceArray<"float32">
}

/** The result of a pass. */
export interface Output {
  /** The state of all tokens, [tokens][hidden]: before the first layer, and after each. */
  readonly states: readonly DeviceArray<"float32">[]
  /** The last of them. */
  readonly hidden: DeviceArray<"float32">
  /** For each layer [tokens][topK]: the chosen experts. */
  readonly experts: readonly DeviceArray<"int32">[]
}

/** The model on one device. */
export class Model {
  readonly #device: Device
  readonly #sizes: Sizes
  readonly #weights: ModelWeights

  constructor(device: Device, sizes: Sizes, weights: ModelWeights) {
    this.#device = device
    this.#sizes = sizes
    this.#weights = weights
  }

  /** Queues a pass over all tokens without waiting for the device. The output belongs to the caller. */
  forward(tokens: DeviceArray<"uint8">, branches: Branches): Output {
    let hidden = this.#numbers(this.#sizes.tokens, this.#sizes.hidden)
    embed(tokens, this.#weights.embedding, hidden)
    const states = [hidden]
    const experts: DeviceArray<"int32">[] = []
    for (const index of this.#weights.layers.keys()) {
      const layer = this.#kept(() => this.layer(index, hidden, branches))
      hidden = layer.next
      states.push(hidden)
      experts.push(layer.experts)
    }
    return { states, hidden, experts }
  }

  /** The scope frees the intermediate arrays of a layer once the streams have passed their last use. */
  #kept(layer: () => LayerOutput): { next: DeviceArray<"float32">; experts: DeviceArray<"int32"> } {
    return this.#device.scope(() => {
      const { next, routing } = layer()
      return { next, experts: routing.experts }
    })
  }

  /** Queues one layer, with nine launches. All its arrays belong to the caller. */
  layer(index: number, hidden: DeviceArray<"float32">, branches: Branches): LayerOutput {
    const weights = this.#weights.layers[index]
    if (weights === undefined) throw new RangeError(`there is no layer ${index}`)
    const x = this.#halves(this.#sizes.tokens, this.#sizes.hidden)
    rmsNorm(hidden, weights.norm, x, EPSILON)
    const [{ routing, routed }, shared] = branches(
      () => this.#routedExperts(x, weights),
      () => this.#sharedExpert(x, weights),
    )
    const next = this.#numbers(this.#sizes.tokens, this.#sizes.hidden)
    combine(hidden, { x, routing, routed, shared }, weights.sharedGate, next)
    return { x, routing, routed, shared, next }
  }

  /** The results of the chosen experts, sorted by expert. The host never reads which they are. */
  #routedExperts(x: DeviceArray<"bfloat16">, weights: LayerWeights): Routed {
    const { tokens, hidden, expert, topK } = this.#sizes
    const routing = this.#route(x, weights)
    const inner = this.#halves(tokens * topK, expert)
    expertUp(x, weights.expertsUp, routing, inner, hidden)
    const routed = this.#numbers(tokens * topK, hidden)
    expertDown(inner, weights.expertsDown, routing, routed)
    return { routing, routed }
  }

  #route(x: DeviceArray<"bfloat16">, weights: LayerWeights): Routing {
    const { tokens, hidden, experts, topK } = this.#sizes
    const logits = this.#numbers(tokens, experts)
    matmul({ a: x, b: weights.router, out: logits, m: tokens, n: experts, k: hidden })
    const routing: Routing = {
      experts: this.#device.empty("int32", tokens * topK),
      weights: this.#numbers(tokens, topK),
      offsets: this.#device.empty("int32", experts + 1),
      rows: this.#device.empty("int32", tokens * topK),
      slots: this.#device.empty("int32", tokens * topK),
    }
    route(logits, routing, topK)
    return routing
  }

  /** The expert for every token. */
  #sharedExpert(x: DeviceArray<"bfloat16">, weights: LayerWeights): Shared {
    const { tokens, hidden, shared } = this.#sizes
    const gateUp = this.#numbers(tokens, 2 * shared)
    matmul({ a: x, b: weights.sharedUp, out: gateUp, m: tokens, n: 2 * shared, k: hidden })
    const inner = this.#halves(tokens, shared)
    swiglu(gateUp, inner, tokens)
    const out = this.#numbers(tokens, hidden)
    matmul({ a: inner, b: weights.sharedDown, out, m: tokens, n: hidden, k: shared })
    return out
  }

  #numbers(rows: number, width: number): DeviceArray<"float32"> {
    return this.#device.empty("float32", rows * width)
  }

  #halves(rows: number, width: number): DeviceArray<"bfloat16"> {
    return this.#device.empty("bfloat16", rows * width)
  }
}
