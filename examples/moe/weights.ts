/** The weights: bfloat16 from a fixed seed, written on the device. */

import { AuxstreamError, type Device, type DeviceArray, parallel } from "auxstream"
import { fillWeights } from "./kernels.js"
import type { Sizes } from "./sizes.js"

type Weights = DeviceArray<"bfloat16">

/** The weights of one layer. Matrices are stored [inputs][outputs]. */
export interface LayerWeights {
  /** [hidden], all ones, as before training. */
  readonly norm: Weights
  /** [hidden][experts] */
  readonly router: Weights
  /** [experts][hidden][2 · expert], gates beside ups */
  readonly expertsUp: Weights
  /** [experts][expert][hidden] */
  readonly expertsDown: Weights
  /** [hidden][2 · shared], gates beside ups */
  readonly sharedUp: Weights
  /** [shared][hidden] */
  readonly sharedDown: Weights
  /** [hidden] */
  readonly sharedGate: Weights
}

/** All weights of the model. */
export interface ModelWeights {
  /** [256][hidden]: a token is a byte. */
  readonly embedding: Weights
  readonly layers: readonly LayerWeights[]
}

/** The matrices of a layer that are filled from seeds. */
export const matrices = ["router", "expertsUp", "expertsDown", "sharedUp", "sharedDown", "sharedGate"] as const

/** Each matrix has its own seed; the embedding has 0. */
export function seedOf(layer: number, matrix: (typeof matrices)[number]): number {
  return 1 + layer * matrices.length + matrices.indexOf(matrix)
}

/** The largest absolute weight: about 1 / √hidden, so that sums stay near 1. */
export const WEIGHT_SCALE = 2 ** -5
export const EMBEDDING_SCALE = 1

/**
 * Allocates and fills all weights, on several streams. They belong to the caller.
 *
 * @param fewer whether fewer layers may be allocated if the device has no memory for all
 */
export function makeWeights(device: Device, sizes: Sizes, fewer: boolean): ModelWeights {
  const embedding = device.empty("bfloat16", 256 * sizes.hidden)
  const layers = device.scope(() => allocateLayers(device, sizes, fewer))
  const fills = layers.flatMap((weights, layer) =>
    matrices.map((name) => () => fillWeights(weights[name], seedOf(layer, name), WEIGHT_SCALE)),
  )
  parallel([() => fillWeights(embedding, 0, EMBEDDING_SCALE), ...fills])
  return { embedding, layers }
}

/**
 * Allocates all layers, or with `fewer` as many as fit. If memory runs out, the rest may be too small for the tokens' states,
 * so one allocated layer is given up.
 *
 * @throws AuxstreamError AUX_OUT_OF_MEMORY
 */
export function allocateLayers(device: Device, sizes: Sizes, fewer: boolean): LayerWeights[] {
  const layers: LayerWeights[] = []
  try {
    while (layers.length < sizes.layers) layers.push(device.scope(() => allocateLayer(device, sizes)))
  } catch (error) {
    const isFull = error instanceof AuxstreamError && error.code === "AUX_OUT_OF_MEMORY"
    if (!fewer || !isFull || layers.length < 2) throw error
    for (const array of layers.splice(-1).flatMap(arraysOf)) array.dispose()
  }
  return layers
}

/** All arrays of a layer. */
export function arraysOf(layer: LayerWeights): Weights[] {
  return [layer.norm, ...matrices.map((name) => layer[name])]
}

function allocateLayer(device: Device, sizes: Sizes): LayerWeights {
  const { hidden, expert, experts, shared } = sizes
  return {
    norm: device.full("bfloat16", hidden, 1),
    router: device.empty("bfloat16", hidden * experts),
    expertsUp: device.empty("bfloat16", experts * hidden * 2 * expert),
    expertsDown: device.empty("bfloat16", experts * expert * hidden),
    sharedUp: device.empty("bfloat16", hidden * 2 * shared),
    sharedDown: device.empty("bfloat16", shared * hidden),
    sharedGate: device.empty("bfloat16", hidden),
  }
}
