import { defineKernel, type Device } from "auxstream"
import { expertProducts } from "./expert-products.js"
import {
  firstExpert,
  hidden,
  inner,
  inputOf,
  layers,
  shared,
  top,
  usedExperts,
  weightBytes,
  weightsOf,
} from "./expert-layer.js"
import { add, over, sourceOf } from "./kernels.js"
import type { Workload } from "./workload.js"

const cuda = sourceOf("expert-layer.cu")

const routedUp = defineKernel({
  name: "bench_routed_up",
  signature: ["in int32*", "in bfloat16*", "in bfloat16*", "out bfloat16*"],
  cuda,
})

const routedDown = defineKernel({
  name: "bench_routed_down",
  signature: ["in int32*", "in float32*", "in bfloat16*", "in bfloat16*", "out bfloat16*"],
  cuda,
})

const sharedKernel = (name: string) =>
  defineKernel({ name, signature: ["in bfloat16*", "in bfloat16*", "out bfloat16*"], cuda })

/** The kernels by number of tokens. */
const sharedKernels = {
  1: { up: sharedKernel("bench_shared_up_1"), down: sharedKernel("bench_shared_down_1") },
  4: { up: sharedKernel("bench_shared_up_4"), down: sharedKernel("bench_shared_down_4") },
} as const

/** The numbers of tokens with kernels. */
export type FewTokens = keyof typeof sharedKernels
export const isFew = (tokens: number): tokens is FewTokens => tokens in sharedKernels

/** Each row has a warp, and a block has this many warps: see the kernels. */
const warpForEach = (rows: number, warps: number, times = 1) =>
  ({ grid: [rows / warps, times], block: 32 * warps }) as const

/** Routed beside shared experts with custom kernels, as engines use for a few tokens. Five launches a layer. */
export function expertVectors(device: Device, tokens: FewTokens): Workload {
  const pairs = tokens * top
  const x = inputOf(device, tokens)
  const shares = device.full("float32", pairs, 1 / top)
  const array = (length: number) => device.empty("bfloat16", length)
  const activated = array(pairs * inner)
  const routedOut = array(tokens * hidden)
  const sharedActivated = array(tokens * shared)
  const output = array(tokens * hidden)
  const kernels = sharedKernels[tokens]
  const shapes = {
    routedUp: warpForEach(inner, 4, pairs),
    routedDown: warpForEach(hidden, 2, tokens),
    sharedUp: warpForEach(shared, 4),
    sharedDown: warpForEach(hidden, 4),
    add: over(tokens * hidden),
  }

  const layer = (index: number) => {
    const own = weightsOf(device, index)
    const first = firstExpert(tokens, index)
    const chosen = device.from(Int32Array.from({ length: pairs }, (_, pair) => first + (pair % usedExperts(tokens))))
    return {
      main() {
        routedUp.launch(shapes.routedUp, chosen, x, own.gateUp, activated)
        routedDown.launch(shapes.routedDown, chosen, shares, activated, own.down, routedOut)
      },
      aux() {
        kernels.up.launch(shapes.sharedUp, x, own.sharedGateUp, sharedActivated)
        kernels.down.launch(shapes.sharedDown, sharedActivated, own.sharedDown, output)
      },
      join: () => add.launch(shapes.add, tokens * hidden, routedOut, output),
    }
  }
  return {
    layers,
    layer,
    outputs: [output],
    bytes: weightBytes(tokens),
    reference: () => expertProducts(device, tokens),
  }
}
