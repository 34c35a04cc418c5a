/** Products on a device whose driver has a library for them: cuBLASLt. */
import type { ProductGroup, ProductLibrary } from "../driver/products.js"
import { accept, begin, type Operand, prepare, refuse } from "../runtime/capture/operation.js"
import { workspaceOf } from "../runtime/capture/workspace.js"
import type { DeviceArray } from "../runtime/device/array/device-array.js"
import { type AccessMode, OperationType } from "../runtime/order/observer/operation.js"
import type { Product, Target } from "./product.js"

/** The operands of an operation: first its scratch memory, then six for each product. Those that are left out are 0. */
const SCRATCH = 0
const operandsOf = ({ a, b, out, bias, scaleA, scaleB }: Product): Operand[] => [
  a,
  b,
  out,
  bias ?? 0,
  scaleA ?? 0,
  scaleB ?? 0,
]
const modesOf = (out: AccessMode): AccessMode[] => ["read", "read", out, "read", "read", "read"]

const matmul = new OperationType("matmul", "matmul", ["write", ...modesOf("write")], undefined, false, SCRATCH)
const matmulAdding = new OperationType(
  "matmul",
  "matmul",
  ["write", ...modesOf("readwrite")],
  undefined,
  false,
  SCRATCH,
)

/** Queues a product. It calls the four steps of an operation itself: a function made for each product would cost more. */
export function multiplyByLibrary(product: Product, { stream, isNamed }: Target, library: ProductLibrary): void {
  const { a, b, out, bias, scaleA, scaleB, beta } = product
  const type = beta === 0 ? matmul : matmulAdding
  const operands: Operand[] = [0, a, b, out, bias ?? 0, scaleA ?? 0, scaleB ?? 0]
  const operation = begin(stream.state, type, operands, undefined, isNamed)
  const state = operation === undefined ? stream.state : operation.stream
  try {
    const scratch = workspaceOf(state, library.workspaceBytes)
    operands[SCRATCH] = scratch
    prepare(state, type, operands)
    library.multiply(product, scratch.address, state.handle)
  } catch (error) {
    throw refuse(operation, error)
  }
  accept(state, type, operands, undefined, operation)
}

/** Operation types, by the number of products and whether any of them reads `out`. */
const groupTypes: (OperationType | undefined)[] = []

function groupType(products: readonly Product[]): OperationType {
  const adds = products.some(({ beta }) => beta !== 0)
  return (groupTypes[products.length * 2 + Number(adds)] ??= new OperationType(
    "matmul",
    "matmulGrouped",
    ["write", "read", ...products.flatMap(() => modesOf(adds ? "readwrite" : "write"))],
    undefined,
    false,
    SCRATCH,
  ))
}

/**
 * Queues several products as one operation. A single library call for all of them reads the addresses of the matrices from
 * lists in device memory. Launches of a captured call would keep reading these lists, which the library reuses. In a
 * capture each product is therefore a call of its own.
 */
export function multiplyGroupByLibrary(products: readonly Product[], target: Target, library: ProductLibrary): void {
  const { stream } = target
  const group = stream.state.capture === undefined ? library.groupOf(products) : undefined
  const pointers = group === undefined ? undefined : stream.runOwn(() => stream.device.from(group.pointers))
  try {
    queueGroup(products, target, library, group, pointers)
  } finally {
    pointers?.dispose()
  }
}

function queueGroup(
  products: readonly Product[],
  { stream, isNamed }: Target,
  library: ProductLibrary,
  group: ProductGroup | undefined,
  pointers: DeviceArray | undefined,
): void {
  const type = groupType(products)
  const operands: Operand[] = [0, pointers ?? 0, ...products.flatMap(operandsOf)]
  const operation = begin(stream.state, type, operands, undefined, isNamed)
  const state = operation === undefined ? stream.state : operation.stream
  try {
    const scratch = workspaceOf(state, library.workspaceBytes)
    operands[SCRATCH] = scratch
    prepare(state, type, operands)
    library.multiplyGroup(products, group, pointers?.address ?? 0, scratch.address, state.handle)
  } catch (error) {
    throw refuse(operation, error)
  }
  accept(state, type, operands, undefined, operation)
}

/** The length of a row of zeros: as large as cuBLASLt requires for 8-bit inputs. */
const ZEROS = 16

/**
 * The same result as a product that reads no inputs, because alpha or k is 0: a product of zeros. cuBLASLt has no such
 * products.
 *
 * @returns the product, and the zeros, which the caller must dispose of
 */
export function withoutInputs(product: Product, { stream }: Target): { product: Product; zeros: DeviceArray } {
  const { m, n, ldOut, count, strideOut } = product.layout
  const zeros = stream.runOwn(() => product.a.device.zeros(product.a.dtype, Math.max(m, n) * ZEROS))
  const layout = {
    ...{ m, n, k: ZEROS, transposeA: false, transposeB: true, ldA: ZEROS, ldB: ZEROS, ldOut },
    ...{ count, strideA: 0, strideB: 0, strideOut },
  }
  return { product: { ...product, layout, a: zeros, b: zeros, scaleA: undefined, scaleB: undefined, alpha: 1 }, zeros }
}
