import { AuxstreamError } from "../runtime/errors.js"
import type { Product } from "./product.js"

/** Queues a product on a CUDA device. */
export function multiplyOnCuda(product: Product): void {
  throw new AuxstreamError(
    "AUX_DEVICE_UNAVAILABLE",
    `matrix products on ${product.a.device.id} need cuBLAS, which this version does not use; use the host device`,
  )
}
