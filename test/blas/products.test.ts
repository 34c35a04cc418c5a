import { test } from "node:test"
import * as fc from "fast-check"
import {
  BLOCK_COLUMNS,
  BLOCK_DEPTH,
  BLOCK_ROWS,
  FEW_ROWS,
  FEW_ROWS_COLUMNS,
  FEW_ROWS_DEPTH,
} from "../../src/blas/blocks.js"
import { forEachDevice } from "../support/devices.js"
import { type Case, check, plain, waysOn } from "./cases.js"

const combinations = [
  { dtype: "float32", outDtype: "float32" },
  { dtype: "float16", outDtype: "float16" },
  { dtype: "float16", outDtype: "float32" },
  { dtype: "bfloat16", outDtype: "bfloat16" },
  { dtype: "bfloat16", outDtype: "float32" },
] as const

const size = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 20 }) },
  { weight: 1, arbitrary: fc.constantFrom(23, 31, 32, 61, 64, 97, 127) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(BLOCK_ROWS, BLOCK_DEPTH, BLOCK_COLUMNS).chain((n) => fc.constantFrom(n - 1, n, n + 1)),
  },
)

const anyCase: fc.Arbitrary<Case> = fc
  .record({
    types: fc.constantFrom(...combinations),
    m: size,
    n: size,
    k: size,
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    alpha: fc.constantFrom(1, 0, -2, 0.3),
    beta: fc.constantFrom(0, 1, -0.7),
    count: fc.constantFrom(1, 1, 1, 0, 2, 3),
    gap: fc.constantFrom(0, 1, 6),
    seed: fc.integer(),
  })
  .map(({ types, ...rest }) => ({ ...types, ...rest }))
  .filter(({ m, n, k, count }) => m * n * k * count < 1_500_000 && count * (m * n + m * k + k * n) < 400_000)

forEachDevice("matmul", (open, id) => {
  for (const [name, multiply] of waysOn(id)) {
    test(`§4 products of any shape, type, transposition, factor and batch agree with float64: ${name}`, () => {
      using device = open()
      fc.assert(
        fc.property(anyCase, (given) => check(device, multiply, given)),
        { numRuns: 250 },
      )
    })

    test(`§4 shapes at the limits of blocks, and of the path without packing, agree with float64: ${name}`, () => {
      using device = open()
      const shapes = [
        [FEW_ROWS, FEW_ROWS_COLUMNS + 1, 5],
        [FEW_ROWS, 9, FEW_ROWS_DEPTH + 3],
        [FEW_ROWS / 2, FEW_ROWS_COLUMNS + 3, 2],
        [FEW_ROWS / 2 + 1, 70, FEW_ROWS_DEPTH + 1],
        [FEW_ROWS + 1, 8, BLOCK_DEPTH + 1],
        [BLOCK_ROWS + 1, BLOCK_COLUMNS + 1, 3],
        [2 * BLOCK_ROWS + 5, 17, BLOCK_DEPTH + 2],
        [7, 2 * BLOCK_COLUMNS + 9, 2 * BLOCK_DEPTH + 7],
        [3001, 1, 7],
      ] as const
      for (const types of [combinations[0], combinations[3]]) {
        for (const transposeA of [false, true]) {
          for (const transposeB of [false, true]) {
            for (const [m, n, k] of shapes)
              check(device, multiply, { ...plain, ...types, m, n, k, transposeA, transposeB })
          }
        }
      }
    })
  }
})
