import { AuxstreamError } from "../common/errors.js"
import { queueOperation } from "../runtime/memory/used-memory.js"
import { WORKSPACE_BYTES, workspaceOf } from "../runtime/memory/workspace.js"
import type { Product } from "./product.js"

/** Queues a product on a device whose maker has a library for it: cuBLAS. */
export function multiplyByLibrary(product: Product): void {
  const { a, b, out, stream } = product
  const { driver, id } = stream.device
  if (driver.multiply === undefined) {
    throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", `${id} has no library for matrix products; use another device`)
  }
  stream.state.enter()
  const workspace = workspaceOf(stream.state)
  const range = { address: workspace.address, length: WORKSPACE_BYTES }
  const scratch = { allocation: workspace, address: workspace.address, byteLength: WORKSPACE_BYTES }
  queueOperation(stream.state, "matmul", { reads: [a, b], writes: [out], overwrites: [scratch] }, () => {
    driver.multiply?.(
      { ...product, inputs: a.dtype, output: out.dtype, a: a.address, b: b.address, out: out.address },
      range,
      stream.state.handle,
    )
  })
}
