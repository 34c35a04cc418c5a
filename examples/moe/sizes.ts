/** The sizes of the example, and how much of the published model it keeps. */

/** The published sizes of Qwen1.5-MoE-A2.7B. A token's two branches cost the same: 4 · 1408 = 5632. */
export const published = { hidden: 2048, expert: 1408, experts: 60, topK: 4, shared: 5632, layers: 24 } as const

/** The sizes of one run. */
export interface Sizes {
  /** Numbers in a token's state. */
  readonly hidden: number
  /** Numbers inside one routed expert. */
  readonly expert: number
  /** Routed experts in a layer. */
  readonly experts: number
  /** Routed experts for each token. */
  readonly topK: number
  /** Numbers inside the shared expert. */
  readonly shared: number
  readonly layers: number
  readonly tokens: number
}

/** The default sizes. A machine without a GPU computes those on host in seconds. */
const kept = {
  host: { experts: 12, layers: 2, tokens: 64 },
  cuda: { experts: published.experts, layers: published.layers, tokens: 64 },
}

/** The default numbers of tokens and layers. */
export function defaults(kind: "host" | "cuda"): { tokens: number; layers: number } {
  return kept[kind]
}

/** The sizes of a run on a kind of device. */
export function sizesFor(kind: "host" | "cuda", layers: number, tokens: number): Sizes {
  return { ...published, experts: kept[kind].experts, layers, tokens }
}

/** Bytes of the weights, in bfloat16. */
export function weightBytes(sizes: Sizes): number {
  const { hidden, expert, experts, shared, layers } = sizes
  const layer = 3 * hidden * (experts * expert + shared) + hidden * (experts + 2)
  return 2 * (layers * layer + 256 * hidden)
}

/** Floating-point operations of one pass. */
export function operations(sizes: Sizes): number {
  const { hidden, expert, topK, shared, layers, tokens } = sizes
  return layers * tokens * 6 * hidden * (topK * expert + shared)
}
