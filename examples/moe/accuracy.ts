/**
 * Holds a pass against the float64 reference, for a sample of the tokens. Each layer is checked from the state that the
 * device itself came to before it, so that errors do not pile up and the bound can be tight, however many layers.
 */

import type { Output } from "./model.js"
import { embedding, layerReference } from "./reference.js"
import type { Sizes } from "./sizes.js"

/** How near the device came. */
export interface Accuracy {
  /** How many tokens were looked at. */
  readonly tokens: number
  /** The largest difference, against the largest number of its token's state. */
  readonly largestError: number
  readonly tolerance: number
  readonly passed: boolean
}

/** The most tokens that are looked at: the reference takes a tenth of a second for each of them, and each layer. */
const MOST_SAMPLES = 6

/**
 * Sums in float32 are off by some 1e-6. Now and then that tips the rounding of an activation to bfloat16 the other way,
 * by 2^-8 of itself, and an activation is one of thousands in a sum: 2e-4 for the largest. A wrong expert or a wrong row of
 * weights shows as tenths.
 */
const TOLERANCE = 1e-3

/** Compares a sample of a pass's tokens, layer by layer. */
export async function measureAccuracy(
  output: Output,
  bytes: Uint8Array,
  sizes: Sizes,
  layerDone: () => Promise<void>,
): Promise<Accuracy> {
  const states = await Promise.all(output.states.map((state) => state.read()))
  const experts = await Promise.all(output.experts.map((chosen) => chosen.read()))
  const sample = samplePositions(experts[0] ?? new Int32Array(), sizes.topK)
  const stateRows = (layer: number) => rowsOf(states[layer] ?? new Float32Array(), sample, sizes.hidden)
  const choices = (layer: number) => rowsOf(experts[layer] ?? new Int32Array(), sample, sizes.topK)

  let largestError = relativeError(
    stateRows(0),
    sample.map((position) => embedding(bytes[position] ?? 0, sizes)),
  )
  for (let layer = 0; layer < sizes.layers; layer++) {
    const expected = layerReference(stateRows(layer), choices(layer), layer, sizes)
    largestError = Math.max(largestError, relativeError(stateRows(layer + 1), expected))
    await layerDone()
  }
  return { tokens: sample.length, largestError, tolerance: TOLERANCE, passed: largestError <= TOLERANCE }
}

/** Tokens that between them went to as many experts as possible. */
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

/** The largest difference of two rows, against the expected row's largest number; the worst of all rows. */
function relativeError(actual: readonly Float64Array[], expected: readonly Float64Array[]): number {
  const errors = expected.map((row, i) => {
    const differences = row.map((value, j) => Math.abs((actual[i]?.[j] ?? NaN) - value))
    return Math.max(...differences) / Math.max(...row.map(Math.abs))
  })
  return Math.max(...errors)
}
