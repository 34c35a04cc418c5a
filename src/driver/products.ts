/** A device's library for matrix products. It must never choose a result by the scratch memory that it is given. */
import type { ProductTypes } from "../common/dtype/product-types.js"
import type { StreamHandle } from "./handles.js"
import type { MemoryRange } from "./kernels.js"

/**
 * Multiplies matrices on a device. `workspace` is the address of scratch memory, whose choice must not change the result.
 */
export interface ProductLibrary {
  /** The size of the scratch memory that a call needs. */
  readonly workspaceBytes: number
  /** How often a product had to be planned or its code loaded. Only changes matter. */
  readonly loads: number
  /** Why the device does not multiply 8-bit floating point numbers; undefined if it does. */
  readonly lacksFloat8: string | undefined
  /**
   * Queues products. Nothing else may use the workspace before the stream has passed them.
   *
   * @throws AuxstreamError AUX_DEVICE_UNAVAILABLE if the library has no algorithm for them
   */
  multiply(product: MatrixProduct, workspace: number, stream: StreamHandle): void
  /** Those of the products that one call computes; undefined if there are none. The call cannot be captured. */
  groupOf(products: readonly MatrixProduct[]): ProductGroup | undefined
  /**
   * Queues several products, which are independent of each other. They may have to share the workspace.
   *
   * @param group what `groupOf` gave for these products, if it is to be used
   * @param pointers where the group's pointers will be in device memory when the stream gets there
   */
  multiplyGroup(
    products: readonly MatrixProduct[],
    group: ProductGroup | undefined,
    pointers: number,
    workspace: number,
    stream: StreamHandle,
  ): void
  /**
   * Loads what the first such product would load. Waits for an idle device off the event loop. Nothing is read or written. Addresses
   * need only be aligned as in the products to come.
   */
  prepare(product: MatrixProduct, workspace: number): Promise<void>
}

/**
 * Products `out = activation(alpha · scaleA · scaleB · op(a) · op(b) + beta · out + bias)` of row-major matrices, with
 * sizes above 0 and an alpha that is not 0.
 */
export interface MatrixProduct {
  readonly types: ProductTypes
  readonly layout: ProductLayout
  /** The first matrices. */
  readonly a: MemoryRange
  readonly b: MemoryRange
  readonly out: MemoryRange
  /** n numbers, added to each row. */
  readonly bias: MemoryRange | undefined
  /** A float32 each, for 8-bit inputs. 1 if undefined. */
  readonly scaleA: MemoryRange | undefined
  readonly scaleB: MemoryRange | undefined
  readonly activation: "relu" | "gelu" | undefined
  readonly alpha: number
  readonly beta: number
}

/** The sizes of products, and where their matrices are. */
export interface ProductLayout {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly transposeA: boolean
  readonly transposeB: boolean
  /** The number of elements from one stored row to the next. */
  readonly ldA: number
  readonly ldB: number
  readonly ldOut: number
  /** The number of products, and the distances between their matrices in elements. */
  readonly count: number
  readonly strideA: number
  readonly strideB: number
  readonly strideOut: number
}

/** Products that one call computes. */
export interface ProductGroup {
  readonly products: readonly MatrixProduct[]
  /** The addresses of their matrices. The caller copies them into device memory. */
  readonly pointers: BigUint64Array<ArrayBuffer>
}
