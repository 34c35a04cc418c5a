import type { ProductLibrary } from "../driver.js"
import { queueOperation } from "../runtime/capture/operation.js"
import { OperationType } from "../runtime/order/operation.js"
import { workspaceOf } from "../runtime/capture/workspace.js"
import type { Product } from "./product.js"

const matmul = new OperationType("matmul", "matmul", ["read", "read", "write", "overwrite"])
const matmulAdding = new OperationType("matmul", "matmul", ["read", "read", "readwrite", "overwrite"])

/** Queues a product on a device whose driver has a library for it: cuBLAS. */
export function multiplyByLibrary(product: Product, library: ProductLibrary): void {
  const { a, b, out, stream } = product
  const byteLength = library.workspaceBytes
  stream.state.enter()
  const workspace = workspaceOf(stream.state, byteLength)
  const { address } = workspace
  const scratch = { allocation: workspace, address, byteLength }
  queueOperation(stream.state, product.beta === 0 ? matmul : matmulAdding, [a, b, out, scratch], true, ({ handle }) => {
    library.multiply(
      { ...product, inputs: a.dtype, output: out.dtype, a: a.address, b: b.address, out: out.address },
      { address, length: byteLength },
      handle,
    )
  })
}
