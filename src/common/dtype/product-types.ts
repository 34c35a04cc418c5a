/** The dtypes of matrix products. Each combination is one object, so that combinations can be compared by identity. */
import type { DType } from "./dtype.js"

/** The dtypes of the matrices of a product. */
export interface ProductTypes {
  readonly inputs: "float32" | "float16" | "bfloat16" | "float8_e4m3fn"
  readonly output: "float32" | "float16" | "bfloat16"
  readonly bias: "float32" | "float16" | "bfloat16"
  /** The place in the list of all combinations. Less than 8. */
  readonly code: number
}

function types(
  code: number,
  inputs: ProductTypes["inputs"],
  output: ProductTypes["output"],
  bias = output,
): ProductTypes {
  return { inputs, output, bias, code }
}

/** Every combination. cuBLASLt's dtypes of a bias for 8-bit inputs are given; for the others it has the result's dtype. */
export const productTypes = [
  types(0, "float32", "float32"),
  types(1, "float16", "float16"),
  types(2, "float16", "float32"),
  types(3, "bfloat16", "bfloat16"),
  types(4, "bfloat16", "float32"),
  types(5, "float8_e4m3fn", "float32", "bfloat16"),
  types(6, "float8_e4m3fn", "float16"),
  types(7, "float8_e4m3fn", "bfloat16"),
] as const

type ByOutput = { readonly [D in DType]?: ProductTypes }

const byInputs: { readonly [D in DType]?: ByOutput } = {
  float32: { float32: productTypes[0] },
  float16: { float16: productTypes[1], float32: productTypes[2] },
  bfloat16: { bfloat16: productTypes[3], float32: productTypes[4] },
  float8_e4m3fn: { float32: productTypes[5], float16: productTypes[6], bfloat16: productTypes[7] },
}

/** The combination of a product's dtypes; undefined if there is none. */
export function productTypesOf(inputs: DType, output: DType): ProductTypes | undefined {
  return byInputs[inputs]?.[output]
}

/** Whether matrices of a dtype can be multiplied. */
export function isMultiplied(dtype: DType): dtype is ProductTypes["inputs"] {
  return byInputs[dtype] !== undefined
}
