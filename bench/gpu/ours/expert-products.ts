import type { Device } from "auxstream"
import { matmul } from "auxstream/blas"
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
import { add, combine, gather, over, rowsOf, siluMul } from "./kernels.js"
import type { Workload } from "./workload.js"

/**
 * Routed beside shared experts by cuBLAS, for any number of tokens. Routing is even, so that the routed experts are
 * products of equal shape in one batch. Nine launches a layer.
 */
export function expertProducts(device: Device, tokens: number): Workload {
  const pairs = tokens * top
  const used = usedExperts(tokens)
  const rows = Math.ceil(pairs / used)
  const slots = Int32Array.from({ length: pairs }, (_, pair) => (pair % used) * rows + Math.floor(pair / used))
  const tokenOf = new Int32Array(used * rows)
  slots.forEach((slot, pair) => (tokenOf[slot] = Math.floor(pair / top)))
  const [slotsThere, tokensThere] = [device.from(slots), device.from(tokenOf)]
  const shares = device.full("float32", pairs, 1 / top)
  const x = inputOf(device, tokens)
  const array = (length: number) => device.empty("bfloat16", length)
  const gathered = array(used * rows * hidden)
  const gateUp = array(used * rows * 2 * inner)
  const activated = array(used * rows * inner)
  const down = array(used * rows * hidden)
  const routedOut = array(tokens * hidden)
  const sharedGateUp = array(tokens * 2 * shared)
  const sharedActivated = array(tokens * shared)
  const output = array(tokens * hidden)
  const shapes = {
    gather: rowsOf(used * rows),
    siluMul: over(used * rows * inner),
    combine: rowsOf(tokens),
    sharedSiluMul: over(tokens * shared),
    add: over(tokens * hidden),
  }

  const layer = (index: number) => {
    const own = weightsOf(device, index)
    const first = firstExpert(tokens, index)
    const upWeights = own.gateUp.subarray(first * 2 * inner * hidden, (first + used) * 2 * inner * hidden)
    const downWeights = own.down.subarray(first * hidden * inner, (first + used) * hidden * inner)
    const upBatch = { count: used, strideA: rows * hidden, strideB: 2 * inner * hidden, strideOut: rows * 2 * inner }
    const downBatch = { count: used, strideA: rows * inner, strideB: hidden * inner, strideOut: rows * hidden }
    const transposeB = true
    const up = { a: gathered, b: upWeights, out: gateUp, m: rows, n: 2 * inner, k: hidden, transposeB, batch: upBatch }
    const out = { a: activated, b: downWeights, out: down, m: rows, n: hidden, k: inner, transposeB, batch: downBatch }
    const sharedUp = { a: x, b: own.sharedGateUp, out: sharedGateUp, m: tokens, n: 2 * shared, k: hidden, transposeB }
    const sharedOut = {
      a: sharedActivated,
      b: own.sharedDown,
      out: output,
      m: tokens,
      n: hidden,
      k: shared,
      transposeB,
    }
    return {
      main() {
        gather.launch(shapes.gather, hidden, tokensThere, x, gathered)
        matmul(up)
        siluMul.launch(shapes.siluMul, used * rows, inner, gateUp, activated)
        matmul(out)
        combine.launch(shapes.combine, hidden, top, slotsThere, shares, down, routedOut)
      },
      aux() {
        matmul(sharedUp)
        siluMul.launch(shapes.sharedSiluMul, tokens, shared, sharedGateUp, sharedActivated)
        matmul(sharedOut)
      },
      join: () => add.launch(shapes.add, tokens * hidden, routedOut, output),
    }
  }
  return { layers, layer, outputs: [output], bytes: weightBytes(tokens) }
}
