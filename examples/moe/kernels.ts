/**
 * The kernels, each with a function that launches it. Only this file knows how they are built and what shape they are
 * launched in. The launches go to the current stream.
 */

import { defineKernel, type DeviceArray } from "auxstream"
import { SCRATCH_BYTES } from "../../src/blas/blocks.js"
import { fastest } from "./kernels.generated.js"

/** Numbers of half the size: weights, and activations that are multiplied by them. */
type Halves = DeviceArray<"bfloat16">
type Numbers = DeviceArray<"float32">
type Indices = DeviceArray<"int32">

const THREADS = 256

/** The host's code: one WebAssembly module, compiled from assembly/. */
const host = { wasm: fastest() }

const fillWeightsKernel = defineKernel({
  name: "fill_weights",
  signature: ["out bfloat16*", "uint32", "uint32", "float32"],
  host,
})

/** Fills with numbers between -scale and scale that follow from the seed. The scale is a power of two. */
export function fillWeights(out: Halves, seed: number, scale: number): void {
  fillWeightsKernel.launch({ grid: blocks(out.length), block: THREADS }, out, out.length, seed, scale)
}

const embedKernel = defineKernel({
  name: "embed",
  signature: ["in uint8*", "in bfloat16*", "out float32*", "uint32", "uint32"],
  host,
})

/** hidden[t] = table[tokens[t]] */
export function embed(tokens: DeviceArray<"uint8">, table: Halves, hidden: Numbers): void {
  const width = hidden.length / tokens.length
  embedKernel.launch({ grid: tokens.length, block: THREADS }, tokens, table, hidden, tokens.length, width)
}

const rmsNormKernel = defineKernel({
  name: "rms_norm",
  signature: ["in float32*", "in bfloat16*", "out bfloat16*", "uint32", "uint32", "float32"],
  host,
})

/** out = x / √(mean of x² + epsilon) · weight, row by row. A row is as long as `weight`. */
export function rmsNorm(x: Numbers, weight: Halves, out: Halves, epsilon: number): void {
  const rows = x.length / weight.length
  rmsNormKernel.launch({ grid: rows, block: THREADS }, x, weight, out, rows, weight.length, epsilon)
}

/** Which experts the tokens of a layer go to. */
export interface Routing {
  /** [tokens][topK], the most probable expert first. */
  readonly experts: Indices
  /** [tokens][topK], their probabilities. */
  readonly weights: Numbers
  /** [experts + 1], where each expert's rows begin once the choices are sorted by expert. */
  readonly offsets: Indices
  /** [tokens · topK], the token of each sorted row. */
  readonly rows: Indices
  /** [tokens][topK], the sorted row of each choice. */
  readonly slots: Indices
}

const routeKernel = defineKernel({
  name: "route",
  signature: [
    "inout float32*",
    "out int32*",
    "out float32*",
    "out int32*",
    "out int32*",
    "out int32*",
    "uint32",
    "uint32",
    "uint32",
  ],
  host,
})

/** Softmax over the experts, the best `topK` of each token, and the choices sorted by expert. */
export function route(logits: Numbers, routing: Routing, topK: number): void {
  const { experts, weights, offsets, rows, slots } = routing
  const tokens = experts.length / topK
  const counts = [tokens, offsets.length - 1, topK] as const
  routeKernel.launch({ grid: 1, block: THREADS }, logits, experts, weights, offsets, rows, slots, ...counts)
}

const gatherRowsKernel = defineKernel({
  name: "gather_rows",
  signature: ["in bfloat16*", "in int32*", "out bfloat16*", "uint32", "uint32"],
  host,
})

/** out[i] = x[rows[i]] */
export function gatherRows(x: Halves, rows: Indices, out: Halves): void {
  const width = out.length / rows.length
  gatherRowsKernel.launch({ grid: rows.length, block: THREADS }, x, rows, out, rows.length, width)
}

const expertProductKernel = defineKernel({
  name: "expert_product",
  signature: ["in bfloat16*", "in bfloat16*", "in int32*", "out float32*", "out uint8*", "uint32", "uint32", "uint32"],
  host,
})

/** Multiplies the rows of x, sorted by expert, by their expert's matrix. `offsets` says on the device whose they are. */
export function expertProduct(x: Halves, weights: Halves, offsets: Indices, out: Numbers, rows: number): void {
  const experts = offsets.length - 1
  const depth = x.length / rows
  const width = out.length / rows
  const scratch = x.device.empty("uint8", SCRATCH_BYTES)
  const shape = { grid: [blocks(width), experts], block: THREADS } as const
  expertProductKernel.launch(shape, x, weights, offsets, out, scratch, experts, depth, width)
  scratch.dispose()
}

const swigluKernel = defineKernel({
  name: "swiglu",
  signature: ["in float32*", "out bfloat16*", "uint32", "uint32"],
  host,
})

/** out = silu(gate) · up, where each row of `gateUp` holds the gates and then the ups. */
export function swiglu(gateUp: Numbers, out: Halves, rows: number): void {
  const width = out.length / rows
  swigluKernel.launch({ grid: [blocks(width), rows], block: THREADS }, gateUp, out, rows, width)
}

const sharedGateKernel = defineKernel({
  name: "shared_gate",
  signature: ["in bfloat16*", "in bfloat16*", "inout float32*", "uint32", "uint32"],
  host,
})

/** shared[t] *= sigmoid(x[t] · weight) */
export function sharedGate(x: Halves, weight: Halves, shared: Numbers): void {
  const tokens = x.length / weight.length
  sharedGateKernel.launch({ grid: tokens, block: THREADS }, x, weight, shared, tokens, weight.length)
}

const combineKernel = defineKernel({
  name: "combine",
  signature: [
    "in float32*",
    "in float32*",
    "in int32*",
    "in float32*",
    "in float32*",
    "out float32*",
    "uint32",
    "uint32",
    "uint32",
  ],
  host,
})

/** What the branches found out about a layer's tokens. */
export interface Branches {
  /** [tokens · topK][hidden], sorted by expert. */
  readonly routed: Numbers
  readonly routing: Routing
  /** [tokens][hidden] */
  readonly shared: Numbers
}

/** next[t] = hidden[t] + shared[t] + the results of t's experts, times their probabilities */
export function combine(hidden: Numbers, { routed, routing, shared }: Branches, next: Numbers, tokens: number): void {
  const { slots, weights } = routing
  const sizes = [tokens, slots.length / tokens, hidden.length / tokens] as const
  combineKernel.launch({ grid: tokens, block: THREADS }, hidden, routed, slots, weights, shared, next, ...sizes)
}

function blocks(elements: number): number {
  return Math.max(1, Math.ceil(elements / THREADS))
}
