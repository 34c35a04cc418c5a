import type { MatrixProduct } from "../driver/products.js"
import type { DeviceArray } from "../runtime/device/array/device-array.js"
import type { Stream } from "../runtime/device/stream.js"

/** A product whose options have been checked and completed. */
export interface Product extends MatrixProduct {
  readonly a: DeviceArray
  readonly b: DeviceArray
  readonly out: DeviceArray
  readonly bias: DeviceArray | undefined
  readonly scaleA: DeviceArray | undefined
  readonly scaleB: DeviceArray | undefined
}

/** Where products are queued. */
export interface Target {
  readonly stream: Stream
  /** Whether the caller named it. */
  readonly isNamed: boolean
}
