import { matmul, matmulGrouped, prepareMatmul } from "../../src/blas/index.js"
import type { Device } from "../../src/index.js"

/** What the compiler accepts and refuses. Never run. */
export function types(device: Device): void {
  const floats = device.empty("float32", 1)
  const halves = device.empty("float16", 1)
  const brains = device.empty("bfloat16", 1)
  const shape = { m: 1, n: 1, k: 1 }
  const batch = { count: 1, strideA: 0, strideB: 0, strideOut: 1 }

  matmul({ a: floats, b: floats, out: floats, ...shape })
  matmul({ a: halves, b: halves, out: halves, ...shape, transposeA: true, alpha: 2, batch })
  matmul({ a: halves, b: halves, out: floats, ...shape, stream: undefined })
  matmul({ a: brains, b: brains, out: floats, ...shape, stream: device.defaultStream })

  // @ts-expect-error a and b of different types
  matmul({ a: halves, b: brains, out: floats, ...shape })
  // @ts-expect-error a result that is narrower than the inputs
  matmul({ a: floats, b: floats, out: halves, ...shape })
  // @ts-expect-error a result of the other 16-bit type
  matmul({ a: brains, b: brains, out: halves, ...shape })
  // @ts-expect-error integers
  matmul({ a: device.empty("int32", 1), b: device.empty("int32", 1), out: floats, ...shape })
  // @ts-expect-error k is missing
  matmul({ a: floats, b: floats, out: floats, m: 1, n: 1 })
  // @ts-expect-error a typed array
  matmul({ a: new Float32Array(1), b: floats, out: floats, ...shape })
  // @ts-expect-error a stride is missing
  matmul({ a: floats, b: floats, out: floats, ...shape, batch: { count: 2, strideA: 1, strideB: 1 } })
  // @ts-expect-error no such option
  matmul({ a: floats, b: floats, out: floats, ...shape, transA: true })

  const eights = device.empty("float8_e4m3fn", 1)
  matmul({
    a: eights,
    b: eights,
    out: brains,
    ...shape,
    bias: brains,
    activation: "gelu",
    scaleA: floats,
    scaleB: floats,
  })
  matmul({ a: eights, b: eights, out: floats, ...shape, ldA: 16, ldB: 16, ldOut: 16 })
  matmulGrouped([{ a: halves, b: halves, out: floats, ...shape }], { stream: device.defaultStream })
  void prepareMatmul(device, { dtype: "bfloat16", outDtype: "float32", ...shape, bias: true, beta: 1, alignment: 2 })

  // @ts-expect-error an 8-bit result
  matmul({ a: eights, b: eights, out: eights, ...shape })
  // @ts-expect-error an unknown activation
  matmul({ a: floats, b: floats, out: floats, ...shape, activation: "silu" })
  // @ts-expect-error a scale of 16 bits
  matmul({ a: eights, b: eights, out: floats, ...shape, scaleA: halves })
  // @ts-expect-error a product of a group names no stream
  matmulGrouped([{ a: floats, b: floats, out: floats, ...shape, stream: device.defaultStream }])
  // @ts-expect-error a result that is narrower than the inputs
  void prepareMatmul(device, { dtype: "float32", outDtype: "float16", ...shape })
}
