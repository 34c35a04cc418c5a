/**
 * Compares a pass with the float64 reference, for a sample of the layers and tokens. The check of each layer, and of each
 * step in it, starts from the device's own previous result. So errors do not add up and the bounds can be tight.
 */

import { type DeviceArray, toFloat32 } from "auxstream"
import type { Bench } from "./measure.js"
import { embedding, layerReference, normalised, type Rows } from "./reference.js"
import type { Sizes } from "./sizes.js"

/** How close the device came to the reference. */
export interface Accuracy {
  /** The number of compared tokens. */
  readonly tokens: number
  /** The compared layers, from 0. */
  readonly layers: readonly number[]
  /** The largest difference of a state, relative to the largest number of its token's state. */
  readonly largestError: number
  readonly tolerance: number
  /** The worst of each step, in order of computation: the first that failed is the cause. */
  readonly steps: readonly StepAccuracy[]
  readonly passed: boolean
}

/** How close one step came. */
export interface StepAccuracy {
  readonly step: keyof typeof tolerances
  /** The layer with the largest error. */
  readonly layer: number
  /** Relative to the largest number of the token's row; for a router, absolute, of a probability. */
  readonly largestError: number
  readonly tolerance: number
  readonly passed: boolean
}

/** The limit of the sample: the reference takes a tenth of a second for each token of a layer. */
const MOST_SAMPLES = 6
const MOST_LAYERS = 4

/**
 * Rounding to bfloat16 has a relative error of up to 2^-8, float32 sums of about 1e-6. Sometimes the latter changes how an
 * activation inside an expert is rounded, by 2^-8 of the activation, which is one of thousands in a sum: at most 2e-4 of a
 * state, more of an expert's result alone. A wrong expert or a wrong row of weights gives errors of tenths.
 */
const tolerances = { embedding: 0, norm: 2 ** -8, router: 1e-4, routed: 4e-3, shared: 4e-3, state: 1e-3 }

type Errors = Partial<Record<keyof typeof tolerances, number>>

/** Compares a sample of a pass. */
export async function measureAccuracy(
  bench: Bench,
  bytes: Uint8Array,
  sizes: Sizes,
  layerDone: () => Promise<void>,
): Promise<Accuracy> {
  const { states, experts } = bench.output()
  const sample = samplePositions((await experts[0]?.read()) ?? new Int32Array(), sizes.topK)
  const rows = async (matrix: DeviceArray<"float32"> | undefined) =>
    rowsOf((await matrix?.read()) ?? new Float32Array(), sample, sizes.hidden)

  const expected = sample.map((position) => embedding(bytes[position] ?? 0, sizes))
  const errors = new Map<number, Errors>([[0, { embedding: relativeError(await rows(states[0]), expected) }]])
  const layers = checkedLayers(sizes.layers)
  for (const layer of layers) {
    const hidden = states[layer]
    if (hidden === undefined) throw new RangeError(`the pass gave no state before layer ${layer}`)
    const steps = await bench.scope(() => readSteps(bench, layer, hidden, sample, sizes))
    const found = stepErrors(await rows(hidden), steps, await rows(states[layer + 1]), layer, sizes)
    errors.set(layer, { ...errors.get(layer), ...found })
    await layerDone()
  }
  return summary(errors, sample.length, layers)
}

/** The device's intermediate results in a layer for the sample's tokens. */
interface Steps {
  readonly x: Rows
  readonly experts: Rows
  readonly weights: Rows
  readonly routed: Rows
  readonly shared: Rows
}

/** Runs a layer again, to read what a pass discards. */
async function readSteps(
  bench: Bench,
  layer: number,
  hidden: DeviceArray<"float32">,
  sample: readonly number[],
  { hidden: width, topK }: Sizes,
): Promise<Steps> {
  const { x, routing, routed, shared } = bench.layer(layer, hidden)
  const [xs, experts, weights, slots, results, shareds] = await Promise.all([
    x.read(),
    routing.experts.read(),
    routing.weights.read(),
    routing.slots.read(),
    routed.read(),
    shared.read(),
  ])
  const sums = sample.map((position) => {
    const sum = new Float64Array(width)
    for (let choice = position * topK; choice < (position + 1) * topK; choice++) {
      const [weight = NaN, row = -1] = [weights[choice], slots[choice]]
      for (let i = 0; i < width; i++) sum[i] = (sum[i] ?? NaN) + weight * (results[row * width + i] ?? NaN)
    }
    return sum
  })
  return {
    x: rowsOf(toFloat32(xs, "bfloat16"), sample, width),
    experts: rowsOf(experts, sample, topK),
    weights: rowsOf(weights, sample, topK),
    routed: sums,
    shared: rowsOf(shareds, sample, width),
  }
}

function stepErrors(hidden: Rows, steps: Steps, next: Rows, layer: number, sizes: Sizes): Errors {
  const expected = layerReference(hidden, steps.x, steps.experts, layer, sizes)
  return {
    norm: relativeError(steps.x, normalised(hidden)),
    router: Math.max(...expected.probabilities.map((row, token) => routerError(steps, token, row))),
    routed: relativeError(steps.routed, expected.routed),
    shared: relativeError(steps.shared, expected.shared),
    state: relativeError(next, expected.next),
  }
}

/**
 * How far the probabilities of a token's experts are off, or what an expert lacks to be one of the best; which of two
 * equal ones is chosen is not for float32 to say.
 */
function routerError({ experts, weights }: Steps, token: number, probabilities: Float64Array): number {
  const chosen = experts[token] ?? new Float64Array()
  if (new Set(chosen).size < chosen.length) return 1
  const least = probabilities.toSorted().at(-chosen.length) ?? NaN
  const errors = Array.from(chosen, (expert, choice) => {
    const probability = probabilities[expert] ?? NaN
    return Math.max(least - probability, Math.abs((weights[token]?.[choice] ?? NaN) - probability))
  })
  return Math.max(...errors)
}

function summary(errors: ReadonlyMap<number, Errors>, tokens: number, layers: readonly number[]): Accuracy {
  const steps = (Object.keys(tolerances) as (keyof typeof tolerances)[]).map((step) => {
    const worst = [...errors].map(([layer, found]) => ({ layer, error: found[step] ?? 0 }))
    const { layer, error } = worst.reduce((most, other) => (isWorse(other.error, most.error) ? other : most))
    const tolerance = tolerances[step]
    return { step, layer, largestError: error, tolerance, passed: error <= tolerance }
  })
  const { largestError = NaN, tolerance = NaN } = steps.find(({ step }) => step === "state") ?? {}
  return { tokens, layers, largestError, tolerance, steps, passed: steps.every(({ passed }) => passed) }
}

/** NaN counts as the largest error. */
function isWorse(error: number, other: number): boolean {
  return error > other || (Number.isNaN(error) && !Number.isNaN(other))
}

/** The layers to compare: the first, the last, and some evenly spread between them. */
export function checkedLayers(layers: number): number[] {
  const count = Math.min(layers, MOST_LAYERS)
  return Array.from({ length: count }, (_, i) => Math.round((i * (layers - 1)) / Math.max(1, count - 1)))
}

/** Tokens that together went to as many experts as possible. */
function samplePositions(experts: Int32Array, topK: number): number[] {
  const seen = new Set<number>()
  const positions: number[] = []
  for (let position = 0; position * topK < experts.length && positions.length < MOST_SAMPLES; position++) {
    const chosen = experts.subarray(position * topK, (position + 1) * topK)
    if (chosen.every((expert) => seen.has(expert))) continue
    for (const expert of chosen) seen.add(expert)
    positions.push(position)
  }
  return positions
}

function rowsOf(matrix: Float32Array | Int32Array, rows: readonly number[], width: number): Float64Array[] {
  return rows.map((row) => Float64Array.from(matrix.subarray(row * width, (row + 1) * width)))
}

/** The largest difference of two rows, relative to the expected row's largest number; the maximum over all rows. */
function relativeError(actual: Rows, expected: Rows): number {
  const errors = expected.map((row, i) => {
    const differences = row.map((value, j) => Math.abs((actual[i]?.[j] ?? NaN) - value))
    return Math.max(...differences) / Math.max(...row.map(Math.abs))
  })
  return Math.max(...errors)
}
