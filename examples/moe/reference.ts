/**
 * A layer in plain JavaScript and float64, for a few tokens. The device's results are compared with it. Tokens do not mix in
 * these layers, so a sample is enough.
 */

import { fromFloat32, toFloat32 } from "auxstream"
import type { Sizes } from "./sizes.js"
import { EMBEDDING_SCALE, type matrices, seedOf, WEIGHT_SCALE } from "./weights.js"

/** Numbers for each token of a sample. */
export type Rows = readonly Float64Array[]

/** The first state of a token: a row of the embedding table. */
export function embedding(byte: number, sizes: Sizes): Float64Array {
  const row = new Float64Array(sizes.hidden)
  fillWeights(row, 0, byte * sizes.hidden, EMBEDDING_SCALE)
  return row
}

/** A layer's input, before it is rounded to bfloat16. */
export function normalised(hidden: Rows): Rows {
  return hidden.map(rmsNorm)
}

/** The results of a layer for some tokens. */
export interface LayerReference {
  /** [tokens][experts] */
  readonly probabilities: Rows
  /** The sums of the chosen experts' results, times their probabilities. */
  readonly routed: Rows
  /** The shared expert's results, before the gate. */
  readonly shared: Rows
  /** The tokens' states after the layer. */
  readonly next: Rows
}

/**
 * A layer's results for some tokens.
 *
 * @param hidden their states before it
 * @param x their normalised states, as the device rounded them
 * @param chosen the experts that the device chose for each
 */
export function layerReference(hidden: Rows, x: Rows, chosen: Rows, layer: number, sizes: Sizes): LayerReference {
  const router = { layer, name: "router", first: 0, depth: sizes.hidden, width: sizes.experts } as const
  const probabilities = product(x, router).map(softmax)
  const routed = routedExperts(x, chosen, probabilities, layer, sizes)
  const shared = swigluExpert(x, layer, ["sharedUp", "sharedDown"], 0, sizes.hidden, sizes.shared)
  const gates = product(x, { layer, name: "sharedGate", first: 0, depth: sizes.hidden, width: 1 })
  const next = hidden.map((row, token) => {
    const gate = sigmoid(at(gates[token], 0))
    return row.map((value, i) => value + at(routed[token], i) + gate * at(shared[token], i))
  })
  return { probabilities, routed, shared, next }
}

function routedExperts(x: Rows, chosen: Rows, probabilities: Rows, layer: number, sizes: Sizes): Rows {
  const sums = x.map(() => new Float64Array(sizes.hidden))
  for (let expert = 0; expert < sizes.experts; expert++) {
    const users = x.map((_row, token) => token).filter((token) => chosen[token]?.includes(expert))
    if (users.length === 0) continue
    const rows = users.map((token) => x[token] ?? new Float64Array())
    const results = swigluExpert(rows, layer, ["expertsUp", "expertsDown"], expert, sizes.hidden, sizes.expert)
    for (const [i, token] of users.entries()) addScaled(sums[token], results[i], at(probabilities[token], expert))
  }
  return sums
}

function swigluExpert(
  x: Rows,
  layer: number,
  [up, down]: readonly [Matrix["name"], Matrix["name"]],
  index: number,
  hidden: number,
  width: number,
): Rows {
  const first = index * hidden * width
  const gateUp = product(x, { layer, name: up, first: 2 * first, depth: hidden, width: 2 * width })
  const inner = gateUp.map((row) => roundToBfloat16(swiglu(row, width)))
  return product(inner, { layer, name: down, first, depth: width, width: hidden })
}

function swiglu(gateUp: Float64Array, width: number): Float64Array {
  return gateUp.subarray(0, width).map((gate, i) => gate * sigmoid(gate) * at(gateUp, width + i))
}

/** A matrix of weights: its offset in the tensor, and its shape. */
interface Matrix {
  readonly layer: number
  readonly name: (typeof matrices)[number]
  readonly first: number
  readonly depth: number
  readonly width: number
}

function product(x: Rows, { layer, name, first, depth, width }: Matrix): Rows {
  const sums = x.map(() => new Float64Array(width))
  const row = new Float64Array(width)
  for (let step = 0; step < depth; step++) {
    fillWeights(row, seedOf(layer, name), first + step * width, WEIGHT_SCALE)
    for (const [token, sum] of sums.entries()) addScaled(sum, row, at(x[token], step))
  }
  return sums
}

function addScaled(sum: Float64Array | undefined, row: Float64Array | undefined, factor: number): void {
  if (sum === undefined || row === undefined) return
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (row[i] ?? 0) * factor
}

/** The numbers that assembly/weights.ts writes, from the tensor's element `first` on. */
function fillWeights(row: Float64Array, seed: number, first: number, scale: number): void {
  const start = Math.imul(seed, 0x9e3779b9) + first
  for (let i = 0; i < row.length; i++) {
    let hash = (start + i) | 0
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    hash ^= hash >>> 16
    row[i] = ((2 * (hash >>> 24) - 255) / 256) * scale
  }
}

function rmsNorm(row: Float64Array): Float64Array {
  const squares = row.reduce((sum, value) => sum + value * value, 0)
  const scale = 1 / Math.sqrt(squares / row.length + 1e-6)
  return row.map((value) => value * scale)
}

function softmax(logits: Float64Array): Float64Array {
  const largest = Math.max(...logits)
  const powers = logits.map((logit) => Math.exp(logit - largest))
  const sum = powers.reduce((total, power) => total + power, 0)
  return powers.map((power) => power / sum)
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x))
}

/** The device keeps activations in bfloat16, so the reference rounds in the same places. */
function roundToBfloat16(row: Float64Array): Float64Array {
  return Float64Array.from(toFloat32(fromFloat32(row, "bfloat16"), "bfloat16"))
}

function at(row: ArrayLike<number> | undefined, index: number): number {
  return row?.[index] ?? NaN
}
