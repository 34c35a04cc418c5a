/** Rows about the calling thread's time for matrix products in bfloat16, with weights as those of a linear layer. */

import type { Device } from "auxstream"
import { matmul, matmulGrouped } from "auxstream/blas"
import { type MakeRow, queued } from "./row.js"

const zeros = (device: Device, length: number) => device.zeros("bfloat16", length)

/** product:M:N:K:COUNT */
const product: MakeRow = (device, ...sizes) => {
  const [m = 1, n = 1, k = 1, count = 1] = sizes.map(Number)
  const a = zeros(device, count * m * k)
  const b = zeros(device, count * n * k)
  const out = zeros(device, count * m * n)
  const batch = count === 1 ? undefined : { count, strideA: m * k, strideB: n * k, strideOut: m * n }
  return queued(device, () => matmul({ a, b, out, m, n, k, transposeB: true, batch }))
}

/** grouped:EXPERTS:N:K: a row each */
const grouped: MakeRow = (device, ...sizes) => {
  const [experts = 1, n = 1, k = 1] = sizes.map(Number)
  const products = Array.from({ length: experts }, () => ({
    a: zeros(device, k),
    b: zeros(device, n * k),
    out: zeros(device, n),
    ...{ m: 1, n, k, transposeB: true },
  }))
  return queued(device, () => matmulGrouped(products))
}

/** By name. */
export const productRows: Readonly<Record<string, MakeRow>> = { product, grouped }
