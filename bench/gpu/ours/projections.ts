import type { Device } from "auxstream"
import { matmul } from "auxstream/blas"
import { add, over, rmsNorm, rowsOf } from "./kernels.js"
import { randomArray, type Workload } from "./workload.js"

/** The norms of queries and of keys and values of DeepSeek-R1, with a custom kernel. Two launches a layer. */
export function normsWorkload(device: Device, rows: number): Workload {
  const branch = (columns: number) => {
    const x = randomArray(device, rows * columns, 1)
    const weight = device.full("bfloat16", columns, 1)
    const out = device.empty("bfloat16", rows * columns)
    const shape = rowsOf(rows)
    return { out, launch: () => rmsNorm.launch(shape, columns, 1e-6, x, weight, out) }
  }
  const [query, key] = [branch(1536), branch(512)]
  const layer = { main: query.launch, aux: key.launch, join: () => {} }
  return { layers: 64, layer: () => layer, outputs: [query.out, key.out] }
}

/** A projection of 32 rows from 4096 to 11008 beside its low-rank addition. Four launches a layer. */
export function loraWorkload(device: Device, rank: number): Workload {
  const [rows, inputs, outputs] = [32, 4096, 11008]
  const kept = Array.from({ length: 4 }, () => ({
    base: randomArray(device, outputs * inputs, 0.03),
    shrink: randomArray(device, rank * inputs, 0.03),
    expand: randomArray(device, outputs * rank, 0.03),
  }))
  const x = randomArray(device, rows * inputs, 1)
  const small = device.empty("bfloat16", rows * rank)
  const addition = device.empty("bfloat16", rows * outputs)
  const output = device.empty("bfloat16", rows * outputs)
  const shape = over(rows * outputs)
  const transposeB = true
  const layer = (index: number) => {
    const own = kept[index % kept.length]
    if (own === undefined) throw new Error(`layer ${index} has no weights`)
    const base = { a: x, b: own.base, out: output, m: rows, n: outputs, k: inputs, transposeB }
    const shrink = { a: x, b: own.shrink, out: small, m: rows, n: rank, k: inputs, transposeB }
    const expand = { a: small, b: own.expand, out: addition, m: rows, n: outputs, k: rank, transposeB }
    return {
      main: () => matmul(base),
      aux() {
        matmul(shrink)
        matmul(expand)
      },
      join: () => add.launch(shape, rows * outputs, addition, output),
    }
  }
  return { layers: 32, layer, outputs: [output] }
}
