/// <reference types="node" preserve="true" />
/**
 * Matrix products for both devices.
 *
 * @example
 * import { openDevice } from "auxstream"
 * import { matmul } from "auxstream/blas"
 *
 * const device = openDevice()
 * const a = device.from(new Float32Array([1, 2, 3, 4]))
 * const b = device.from(new Float32Array([5, 6, 7, 8]))
 * const out = device.empty("float32", 4)
 * matmul({ a, b, out, m: 2, n: 2, k: 2 })
 * console.log(await out.read())   // 19, 22, 43, 50
 *
 * @module auxstream/blas
 */

export { matmulGrouped } from "./grouped.js"
export { matmul } from "./matmul.js"
export type {
  GroupedOptions,
  GroupedProduct,
  MatmulActivation,
  MatmulBatch,
  MatmulDType,
  MatmulOptions,
  MatmulOutDType,
  MatmulShape,
  PreparedMatmul,
} from "./options.js"
export { prepareMatmul } from "./prepare.js"
