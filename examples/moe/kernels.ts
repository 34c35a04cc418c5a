/**
 * The kernels, each with a function that launches it on the current stream. Only this file knows how they are built and the
 * shapes of their launches.
 */

import { readFileSync } from "node:fs"
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
/** The GPU's code. */
const cuda = { source: readFileSync(new URL("kernels.cu", import.meta.url), "utf8") }

const fillWeightsKernel = defineKernel({
  name: "fill_weights",
  signature: ["out bfloat16*", "uint32", "uint32", "float32"],
  cuda,
  host,
})

/** Fills with numbers between -scale and scale, determined by the seed. The scale must be a power of two. */
export function fillWeights(out: Halves, seed: number, scale: number): void {
  fillWeightsKernel.launch({ grid: blocks(out.length), block: THREADS }, out, out.length, seed, scale)
}

const embedKernel = defineKernel({
  name: "embed",
  signature: ["in uint8*", "in bfloat16*", "out float32*", "uint32", "uint32"],
  cuda,
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
  cuda,
  host,
})

/** out = x / √(mean of x² + epsilon) · weight, row by row. A row is as long as `weight`. */
export function rmsNorm(x: Numbers, weight: Halves, out: Halves, epsilon: number): void {
  const rows = x.length / weight.length
  rmsNormKernel.launch({ grid: rows, block: THREADS }, x, weight, out, rows, weight.length, epsilon)
}

/** The experts of each token of a layer. */
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
  cuda,
  host,
})

/** The `topK` most probable experts of each token, and the choices sorted by expert. Overwrites the logits. */
export function route(logits: Numbers, routing: Routing, topK: number): void {
  const { experts, weights, offsets, rows, slots } = routing
  const tokens = experts.length / topK
  const counts = [tokens, offsets.length - 1, topK] as const
  routeKernel.launch({ grid: 1, block: 1024 }, logits, experts, weights, offsets, rows, slots, ...counts)
}

/** A block of the experts' kernels on CUDA: its threads, and its columns of an expert's matrix. */
const EXPERT_THREADS = 128
const EXPERT_COLUMNS = 128

const expertUpKernel = defineKernel({
  name: "expert_up",
  signature: [
    "in bfloat16*",
    "in int32*",
    "in bfloat16*",
    "in int32*",
    "out bfloat16*",
    "out uint8*",
    "uint32",
    "uint32",
    "uint32",
  ],
  cuda,
  host,
})

/**
 * The first half of the experts: for the tokens in `routing.rows`, silu(gate) · up of their expert. The device
 * itself reads from the routing which expert that is.
 */
export function expertUp(x: Halves, weights: Halves, { rows, offsets }: Routing, inner: Halves, depth: number): void {
  const experts = offsets.length - 1
  const width = inner.length / rows.length
  const tokens = x.length / depth
  const scratch = hostScratch(x, SCRATCH_BYTES + tokens * (2 * depth + 4 * 2 * width))
  const shape = { grid: [(2 * width) / EXPERT_COLUMNS, experts], block: EXPERT_THREADS } as const
  expertUpKernel.launch(shape, x, rows, weights, offsets, inner, scratch, experts, depth, width)
  scratch.dispose()
}

const expertDownKernel = defineKernel({
  name: "expert_down",
  signature: ["in bfloat16*", "in bfloat16*", "in int32*", "out float32*", "out uint8*", "uint32", "uint32", "uint32"],
  cuda,
  host,
})

/** The second half: multiplies the rows of `inner`, sorted by expert, by their expert's matrix. */
export function expertDown(inner: Halves, weights: Halves, { rows, offsets }: Routing, out: Numbers): void {
  const experts = offsets.length - 1
  const depth = inner.length / rows.length
  const width = out.length / rows.length
  const scratch = hostScratch(inner, SCRATCH_BYTES)
  const shape = { grid: [width / EXPERT_COLUMNS, experts], block: EXPERT_THREADS } as const
  expertDownKernel.launch(shape, inner, weights, offsets, out, scratch, experts, depth, width)
  scratch.dispose()
}

/** Memory for a product on host. On CUDA a product uses only memory of its block. */
function hostScratch({ device }: Halves, bytes: number): DeviceArray<"uint8"> {
  return device.empty("uint8", device.kind === "host" ? bytes : 0)
}

const swigluKernel = defineKernel({
  name: "swiglu",
  signature: ["in float32*", "out bfloat16*", "uint32", "uint32"],
  cuda,
  host,
})

/** out = silu(gate) · up, where each row of `gateUp` holds the gates and then the ups. */
export function swiglu(gateUp: Numbers, out: Halves, rows: number): void {
  const width = out.length / rows
  swigluKernel.launch({ grid: [blocks(width), rows], block: THREADS }, gateUp, out, rows, width)
}

const combineKernel = defineKernel({
  name: "combine",
  signature: [
    "in float32*",
    "in bfloat16*",
    "in bfloat16*",
    "in float32*",
    "in float32*",
    "in int32*",
    "in float32*",
    "out float32*",
    "uint32",
    "uint32",
    "uint32",
  ],
  cuda,
  host,
})

/** The intermediate results of a layer. */
export interface Findings {
  /** [tokens][hidden], the layer's input, normalised. */
  readonly x: Halves
  readonly routing: Routing
  /** [tokens · topK][hidden], the results of the experts, sorted by expert. */
  readonly routed: Numbers
  /** [tokens][hidden], the result of the shared expert, before its gate. */
  readonly shared: Numbers
}

/** next[t] = hidden[t] + sigmoid(x[t] · gate) · shared[t] + the results of t's experts, times their probabilities */
export function combine(hidden: Numbers, { x, routing, routed, shared }: Findings, gate: Halves, next: Numbers): void {
  const { slots, weights } = routing
  const width = gate.length
  const tokens = hidden.length / width
  const sizes = [tokens, slots.length / tokens, width] as const
  const shape = { grid: tokens, block: THREADS }
  combineKernel.launch(shape, hidden, x, gate, shared, routed, slots, weights, next, ...sizes)
}

function blocks(elements: number): number {
  return Math.max(1, Math.ceil(elements / THREADS))
}
