import type { ProductLibrary } from "../driver.js"
import { queueOperation } from "../runtime/capture/operation.js"
import { workspaceOf } from "../runtime/capture/workspace.js"
import type { Product } from "./product.js"

/** Queues a product on a device whose driver has a library for it: cuBLAS. */
export function multiplyByLibrary(product: Product, library: ProductLibrary): void {
  const { a, b, out, stream } = product
  const byteLength = library.workspaceBytes
  stream.state.enter()
  const workspace = workspaceOf(stream.state, byteLength)
  const { address } = workspace
  const scratch = { allocation: workspace, address, byteLength }
  queueOperation(stream.state, "matmul", { reads: [a, b], writes: [out], overwrites: [scratch] }, () => {
    library.multiply(
      { ...product, inputs: a.dtype, output: out.dtype, a: a.address, b: b.address, out: out.address },
      { address, length: byteLength },
      stream.state.handle,
    )
  })
}
