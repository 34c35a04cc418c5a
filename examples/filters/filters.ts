/** A module: five kernels of filters.cu, which is compiled once and loaded once. */

import { defineModule, type Device } from "auxstream"
import { globals, line } from "./declarations.js"
import * as host from "./host-kernels.js"

export const filters = defineModule({
  cuda: { file: new URL("filters.cu", import.meta.url) },
  host: { module: new URL("host-kernels.js", import.meta.url), exports: host },
  globals,
})

const ramp = filters.kernel({ name: "ramp", signature: [line, "out float32*"] })
const convolve = filters.kernel({ name: "convolve", signature: ["int32", "in float32*", "out float32*"] })
const clip = filters.kernel({ name: "clip", signature: ["int32", "float32", "inout float32*"] })
const total = filters.kernel({ name: "total", signature: ["int32", "in float32*", "out float32*"] })
const scaleBy4 = filters.kernel({
  name: "scaleBy4",
  signature: ["int32", "inout float32*"],
  cuda: { symbol: "filters::scale<float, 4>" },
})

/** Filters a line of 1000 values, and gives the sum and how many values were clipped. */
export async function run(device: Device): Promise<{ sum: number; clipped: number }> {
  await filters.prepare(device)
  const [taps, clipped] = [filters.global(device, "taps"), filters.global(device, "clipped")]
  taps.copyFrom(Float32Array.of(4, 3, 2, 1))
  clipped.fill(0)
  const n = 1000
  const shape = { grid: Math.ceil(n / 256), block: 256 }
  using x = device.empty("float32", n)
  using y = device.empty("float32", n)
  using sum = device.empty("float32", 1)
  ramp.launch(shape, { n, first: 1, step: 0.5 }, x)
  convolve.launch(shape, n, x, y)
  scaleBy4.launch(shape, n, y)
  clip.launch(shape, n, 16_384, y)
  total.launch({ grid: 1, block: 1 }, n, y, sum)
  const [[of = 0], [count = 0]] = await Promise.all([sum.read(), clipped.read()])
  return { sum: of, clipped: count }
}
