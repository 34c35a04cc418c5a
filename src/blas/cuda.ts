/** Products on a device whose driver has a library for them: cuBLASLt. */
import { bytesOf } from "../common/typed-array.js"
import type { MatrixProduct, ProductGroup, ProductLibrary } from "../driver/products.js"
import { type Scratch, scratchOn } from "../runtime/capture/workspace.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import type { Product, Target } from "./product.js"
import { type GroupCall, queueProduct, queueProducts, queueSpecialProduct } from "./queue.js"

/** Queues a product. */
export function multiplyByLibrary(product: Product, target: Target, library: ProductLibrary): void {
  if (readsInputs(product)) queueProduct(product, target, library)
  else queueSpecialProduct(product, target, new LibraryCall(library, [product], false))
}

/** Queues several products as one operation. */
export function multiplyGroupByLibrary(products: readonly Product[], target: Target, library: ProductLibrary): void {
  queueProducts(products, target, new LibraryCall(library, products, target.stream.state.capture === undefined))
}

/** Whether the product depends on `a` and `b`. */
function readsInputs({ layout, alpha }: Product): boolean {
  return layout.k !== 0 && alpha !== 0
}

/** The length of a row of zeros: as large as cuBLASLt requires for 8-bit inputs. */
const ZEROS = 16

/** The most bytes that an element of a matrix has. */
const ELEMENT_BYTES = 4

/**
 * A call for products that need memory of their own: the addresses of their matrices, if the library computes several
 * together, and zeros in place of inputs that a product must not read, because alpha or k is 0. cuBLASLt has no such products.
 *
 * A call for several reads the addresses from lists in device memory. Launches of a captured call would keep reading these
 * lists, whose memory is reused. In a capture each product is therefore a call of its own.
 */
class LibraryCall implements GroupCall {
  readonly workspaceBytes: number
  readonly #library: ProductLibrary
  readonly #products: readonly Product[]
  readonly #mayGroup: boolean
  #group: ProductGroup | undefined
  /** The bytes of the zeros, which come before the addresses. */
  readonly #zeros: number

  constructor(library: ProductLibrary, products: readonly Product[], mayGroup: boolean) {
    this.workspaceBytes = library.workspaceBytes
    this.#library = library
    this.#products = products
    this.#mayGroup = mayGroup
    const lengths = products.map((product) =>
      readsInputs(product) ? 0 : Math.max(product.layout.m, product.layout.n) * ZEROS,
    )
    this.#zeros = ELEMENT_BYTES * Math.max(0, ...lengths)
  }

  scratch(stream: StreamState): Scratch | undefined {
    const readable = this.#products.filter(readsInputs)
    this.#group = this.#mayGroup ? this.#library.groupOf(readable) : undefined
    const byteLength = this.#zeros + (this.#group?.pointers.byteLength ?? 0)
    return byteLength === 0 ? undefined : scratchOn(stream, byteLength)
  }

  multiply(workspace: number, { handle, order }: StreamState, scratch: Scratch | undefined): void {
    const { memory } = order.driver
    const zeros = scratch?.address ?? 0
    const addresses = zeros + this.#zeros
    if (this.#zeros > 0) memory.fill(zeros, ZERO, this.#zeros, handle)
    if (this.#group !== undefined) memory.upload(addresses, bytesOf(this.#group.pointers), handle)
    const products = this.#products.map((product) => (readsInputs(product) ? product : ofZeros(product, zeros)))
    this.#library.multiplyGroup(products, this.#group, addresses, workspace, handle)
  }
}

const ZERO = new Uint8Array(1)

/** A product of zeros in place of one that reads no inputs. */
function ofZeros(product: Product, address: number): MatrixProduct {
  const { m, n, ldOut, count, strideOut } = product.layout
  const layout = {
    ...{ m, n, k: ZEROS, transposeA: false, transposeB: true, ldA: ZEROS, ldB: ZEROS, ldOut },
    ...{ count, strideA: 0, strideB: 0, strideOut },
  }
  const zeros = { address, length: Math.max(m, n) * ZEROS }
  return { ...product, layout, a: zeros, b: zeros, scaleA: undefined, scaleB: undefined, alpha: 1 }
}
