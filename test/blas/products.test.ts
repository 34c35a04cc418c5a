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
import { matmul, matmulGrouped, type MatmulOptions } from "../../src/blas/index.js"
import { check, checkGroup, plain, waysOn } from "./cases.js"
import { activations, anyAligned, anyCase, combinations, float8Combinations } from "./random-cases.js"
import { lateness, randomRuns } from "../support/random-runs.js"

/** The driver's double multiplies slowly. */
const isDouble = process.env["AUXSTREAM_LIBCUDA"] !== undefined

forEachDevice("matmul", (open, id) => {
  for (const [name, multiply] of waysOn(id)) {
    test(`§4 any shape, type, transposition, factor, epilogue, gap, view and batch is right against float64: ${name}`, () => {
      using device = open()
      const isLate = lateness()
      fc.assert(
        fc.property(anyCase, (given) => isLate() || check(device, multiply, given)),
        randomRuns(name === "matmul" && !isDouble ? 500 : 150),
      )
    })

    test(`§4 shapes at the borders of blocks and of the way without packing: ${name}`, () => {
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

  test("§11 every epilogue with every combination of dtypes, with and without what was there", () => {
    using device = open()
    for (const types of [...combinations, ...float8Combinations]) {
      for (const activation of activations) {
        for (const bias of [false, true]) {
          for (const beta of [0, 0.5]) {
            const scaled = types.dtype === "float8_e4m3fn"
            const given = { ...plain, ...types, activation, bias, beta, scaled, transposeB: true, m: 19, n: 48, k: 32 }
            check(device, matmul, given)
            check(device, matmul, { ...given, m: 3, count: 2, gap: 16 })
          }
        }
      }
    }
  })

  test("§11 groups of products of any sizes are right against float64", () => {
    using device = open()
    fc.assert(
      fc.property(fc.array(anyCase, { maxLength: 6 }), (group) => checkGroup(device, matmulGrouped, group)),
      randomRuns(60),
    )
  })

  test("§11 groups in close succession, of products that are computed together, are right against float64", () => {
    using device = open()
    const few = (products: readonly MatmulOptions[]) => {
      for (let begin = 0; begin < products.length; begin += 3) matmulGrouped(products.slice(begin, begin + 3))
    }
    fc.assert(
      fc.property(fc.array(anyAligned, { minLength: 2, maxLength: 15 }), (group) => checkGroup(device, few, group)),
      randomRuns(60),
    )
  })
})
