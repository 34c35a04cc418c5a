/** The same five kernels for the host device. */

import type { HostKernel } from "auxstream"
import type { globals, line } from "./declarations.js"

type Globals = typeof globals

export const ramp: HostKernel<[typeof line, "out float32*"]> = (_launch, { n, first, step }, x) => {
  for (let i = 0; i < n; i++) x[i] = first + i * step
}

export const convolve: HostKernel<["int32", "in float32*", "out float32*"], Globals> = ({ globals }, n, x, y) => {
  for (let i = 0; i < n; i++) {
    let sum = 0
    for (let k = 0; k < 4 && k <= i; k++) sum += (globals.taps[k] ?? 0) * (x[i - k] ?? 0)
    y[i] = sum
  }
}

export const clip: HostKernel<["int32", "float32", "inout float32*"], Globals> = ({ globals }, n, limit, x) => {
  for (let i = 0; i < n; i++) {
    if ((x[i] ?? 0) <= limit) continue
    x[i] = limit
    Atomics.add(globals.clipped, 0, 1)
  }
}

export const scaleBy4: HostKernel<["int32", "inout float32*"]> = (_launch, n, x) => {
  for (let i = 0; i < n; i++) x[i] = (x[i] ?? 0) * 4
}

export const total: HostKernel<["int32", "in float32*", "out float32*"]> = (_launch, n, x, sum) => {
  let s = 0
  for (let i = 0; i < n; i++) s += x[i] ?? 0
  sum[0] = s
}
