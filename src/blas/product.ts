import type { DeviceArray } from "../runtime/device/device-array.js"
import type { Stream } from "../runtime/device/stream.js"

/** An array of a type that is multiplied. */
export type ProductArray = DeviceArray<"float32"> | DeviceArray<"float16"> | DeviceArray<"bfloat16">

/** The types of the inputs and of the result. */
export type ProductTypes =
  | "float32_float32"
  | "float16_float16"
  | "float16_float32"
  | "bfloat16_bfloat16"
  | "bfloat16_float32"

/** A batch of products, checked and complete: what the devices get. */
export interface Product {
  readonly types: ProductTypes
  readonly a: ProductArray
  readonly b: ProductArray
  readonly out: ProductArray
  readonly m: number
  readonly n: number
  readonly k: number
  readonly transposeA: boolean
  readonly transposeB: boolean
  readonly alpha: number
  readonly beta: number
  readonly count: number
  readonly strideA: number
  readonly strideB: number
  readonly strideOut: number
  readonly stream: Stream
}
