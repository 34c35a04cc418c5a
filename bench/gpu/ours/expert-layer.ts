/** The shapes and data of the mixture-of-experts layer, for every way to compute it. */

import type { Device, DeviceArray } from "auxstream"
import { randomArray } from "./workload.js"

/** DeepSeek-V2-Lite. Its two shared experts are computed as one of twice the width. */
export const [hidden, inner, experts, top, shared] = [2048, 1408, 64, 6, 2816]
export const layers = 32
const keptLayers = 4

type Matrix = DeviceArray<"bfloat16">

/** The gate's rows come before those of up. */
export interface Weights {
  readonly gateUp: Matrix
  readonly down: Matrix
  readonly sharedGateUp: Matrix
  readonly sharedDown: Matrix
}

const keptWeights = new WeakMap<Device, readonly Weights[]>()

function makeWeights(device: Device): readonly Weights[] {
  return Array.from({ length: keptLayers }, () => ({
    gateUp: randomArray(device, experts * 2 * inner * hidden, 0.03),
    down: randomArray(device, experts * hidden * inner, 0.03),
    sharedGateUp: randomArray(device, 2 * shared * hidden, 0.03),
    sharedDown: randomArray(device, hidden * shared, 0.03),
  }))
}

/** The weights of a layer. There are four layers' weights, so that each is read from memory, not from the cache. */
export function weightsOf(device: Device, layer: number): Weights {
  const all = keptWeights.get(device) ?? makeWeights(device)
  keptWeights.set(device, all)
  const own = all[layer % keptLayers]
  if (own === undefined) throw new Error(`layer ${layer} has no weights`)
  return own
}

const keptInputs = new WeakMap<Device, Map<number, Matrix>>()

/** The same tokens, however the layer is computed. */
export function inputOf(device: Device, tokens: number): Matrix {
  const all = keptInputs.get(device) ?? new Map<number, Matrix>()
  keptInputs.set(device, all)
  const input = all.get(tokens) ?? randomArray(device, tokens * hidden, 1)
  all.set(tokens, input)
  return input
}

/** The number of experts in use. */
export const usedExperts = (tokens: number): number => Math.min(experts, tokens * top)

/**
 * The first expert in use, a different one in each layer. Routing is fixed and even: pair p of a token and one of its six
 * experts is given to the expert that is (p mod the number of experts in use) places behind it.
 */
export const firstExpert = (tokens: number, layer: number): number => {
  const used = usedExperts(tokens)
  return (layer * used) % (experts - used + 1)
}

const bytesOfNumber = 2

/** The bytes of weights that a layer's branches read. */
export const weightBytes = (tokens: number) => ({
  main: usedExperts(tokens) * 3 * inner * hidden * bytesOfNumber,
  aux: 3 * shared * hidden * bytesOfNumber,
})
