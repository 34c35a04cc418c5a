/** The kernels of all six programs: kernels.cu for CUDA, host-kernels.js for the host device. */

import { defineModule, type LaunchOptions } from "auxstream"

export const kernels = defineModule({
  name: "sequences",
  cuda: { file: new URL("kernels.cu", import.meta.url) },
  host: { module: new URL("host-kernels.js", import.meta.url) },
})

/** As in GrCUDA's evaluation: at most 64 blocks. */
export function shape(n: number): LaunchOptions {
  return { grid: Math.min(64, Math.ceil(n / 256)), block: 256 }
}

const x = "in float32*"
const out = "out float32*"
const inout = "inout float32*"
const n = "int32"

export const square = kernels.kernel({ name: "square", signature: [n, x, out] })
export const addDifferences = kernels.kernel({ name: "addDifferences", signature: [n, x, x, inout] })

/** Parameters: n, rate, volatility, years, strike, prices, values. */
export const blackScholes = kernels.kernel({
  name: "blackScholes",
  signature: [n, "float64", "float64", "float64", "float64", "in float64*", "out float64*"],
})

/** Parameters: side, radius, weights, image, out. */
export const blur = kernels.kernel({ name: "blur", signature: [n, "int32", x, x, out] })
export const edges = kernels.kernel({ name: "edges", signature: [n, x, out] })
/** Of non-negative values, and of the value that `out` has before. */
export const minimum = kernels.kernel({ name: "minimum", signature: [n, x, inout] })
/** Of non-negative values, and of the value that `out` has before. */
export const maximum = kernels.kernel({ name: "maximum", signature: [n, x, inout] })
/** Parameters: n, minimum, maximum, values. */
export const extend = kernels.kernel({ name: "extend", signature: [n, x, x, inout] })
/** Parameters: n, amount, image, blurred, out. */
export const sharpen = kernels.kernel({ name: "sharpen", signature: [n, "float32", x, x, out] })
/** Parameters: n, where the mask is 1, where it is 0, mask, out. */
export const blend = kernels.kernel({ name: "blend", signature: [n, x, x, x, out] })

/** Parameters: rows, features, values, out. */
export const standardize = kernels.kernel({ name: "standardize", signature: [n, "int32", x, out] })
/** Parameters: rows, features, classes, values, weights, bias, out. */
export const scores = kernels.kernel({ name: "scores", signature: [n, "int32", "int32", x, x, x, out] })
/** Parameters: rows, classes, values, out. */
export const rowMaximum = kernels.kernel({ name: "rowMaximum", signature: [n, "int32", x, out] })
/** Parameters: rows, classes, values, maxima, out. */
export const logSumExp = kernels.kernel({ name: "logSumExp", signature: [n, "int32", x, x, out] })
/** Parameters: rows, classes, logarithms, values. */
export const exponential = kernels.kernel({ name: "exponential", signature: [n, "int32", x, inout] })
/** Parameters: rows, classes, values. */
export const softmax = kernels.kernel({ name: "softmax", signature: [n, "int32", inout] })
/** Parameters: rows, classes, scores of one model, of the other, class of each row. */
export const vote = kernels.kernel({ name: "vote", signature: [n, "int32", x, x, "out int32*"] })

/** A sparse matrix of ones times a vector. Parameters: rows, where each row starts, columns, vector, out. */
export const gather = kernels.kernel({ name: "gather", signature: [n, "in int32*", "in int32*", x, out] })
export const addUp = kernels.kernel({ name: "addUp", signature: [n, x, inout] })
export const divide = kernels.kernel({ name: "divide", signature: [n, x, x, out] })

/** 3 × 3 filters, then ReLU. Parameters: side, planes in, planes out, values, weights, out. */
export const convolve = kernels.kernel({ name: "convolve", signature: [n, "int32", "int32", x, x, out] })
/** The largest of each 2 × 2 values. Parameters: side, planes, values, out. */
export const pool = kernels.kernel({ name: "pool", signature: [n, "int32", x, out] })
/** Parameters: values of each branch, one branch, the other, weights, sum. */
export const dense = kernels.kernel({ name: "dense", signature: [n, x, x, x, inout] })
