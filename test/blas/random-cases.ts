import * as fc from "fast-check"
import { BLOCK_COLUMNS, BLOCK_DEPTH, BLOCK_ROWS } from "../../src/blas/blocks.js"
import type { Case } from "./cases.js"

/** Every combination of dtypes except those with 8-bit inputs. */
export const combinations = [
  { dtype: "float32", outDtype: "float32" },
  { dtype: "float16", outDtype: "float16" },
  { dtype: "float16", outDtype: "float32" },
  { dtype: "bfloat16", outDtype: "bfloat16" },
  { dtype: "bfloat16", outDtype: "float32" },
] as const

/** Those with 8-bit inputs. */
export const float8Combinations = [
  { dtype: "float8_e4m3fn", outDtype: "float32" },
  { dtype: "float8_e4m3fn", outDtype: "float16" },
  { dtype: "float8_e4m3fn", outDtype: "bfloat16" },
] as const

export const activations = [undefined, "relu", "gelu"] as const

const size = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 20 }) },
  { weight: 1, arbitrary: fc.constantFrom(23, 31, 32, 61, 64, 97, 127) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(BLOCK_ROWS, BLOCK_DEPTH, BLOCK_COLUMNS).chain((n) => fc.constantFrom(n - 1, n, n + 1)),
  },
)

const factors = {
  alpha: fc.constantFrom(1, 0, -2, 0.3),
  beta: fc.constantFrom(0, 1, -0.7),
  bias: fc.boolean(),
  activation: fc.constantFrom(...activations, undefined),
  count: fc.constantFrom(1, 1, 1, 0, 2, 3),
  seed: fc.integer(),
}

const anyWide: fc.Arbitrary<Case> = fc
  .record({
    types: fc.constantFrom(...combinations),
    ...{ m: size, n: size, k: size },
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    ...factors,
    gap: fc.constantFrom(0, 1, 6),
    rowGap: fc.constantFrom(0, 0, 1, 8),
    offset: fc.constantFrom(0, 0, 1, 2, 3, 8),
  })
  .map(({ types, ...rest }) => ({ ...types, ...rest, scaled: false }))

const multiple = fc.oneof(fc.constantFrom(16, 32, 48), fc.constantFrom(16, 64, 128, 256))

const anyFloat8: fc.Arbitrary<Case> = fc
  .record({
    types: fc.constantFrom(...float8Combinations),
    ...{ m: size, n: multiple, k: fc.oneof(multiple, fc.constant(0)) },
    ...factors,
    scaled: fc.boolean(),
    gap: fc.constantFrom(0, 16),
    rowGap: fc.constantFrom(0, 0, 16),
    offset: fc.constantFrom(0, 0, 16),
  })
  .map(({ types, ...rest }) => ({ ...types, ...rest, transposeA: false, transposeB: true }))

/** Any product of a size that is quickly checked. */
export const anyCase: fc.Arbitrary<Case> = fc
  .oneof({ weight: 4, arbitrary: anyWide }, { weight: 1, arbitrary: anyFloat8 })
  .filter(({ m, n, k, count }) => m * n * k * count < 1_500_000 && count * (m * n + m * k + k * n) < 400_000)

/** Products whose rows are aligned to 16 bytes, which cuBLAS computes together. */
export const anyAligned: fc.Arbitrary<Case> = fc
  .record({
    types: fc.constantFrom(combinations[0], combinations[1], combinations[3]),
    ...{ m: fc.constantFrom(1, 2, 3, 8, 16, 40), n: fc.constantFrom(8, 16, 64, 136), k: fc.constantFrom(8, 64, 200) },
    transposeB: fc.boolean(),
    ...{ alpha: factors.alpha, beta: factors.beta, count: factors.count, seed: factors.seed },
    rowGap: fc.constantFrom(0, 0, 8),
    offset: fc.constantFrom(0, 0, 8),
  })
  .map(({ types, ...rest }) => ({
    ...types,
    ...rest,
    scaled: false,
    gap: 0,
    bias: false,
    activation: undefined,
    transposeA: false,
  }))
