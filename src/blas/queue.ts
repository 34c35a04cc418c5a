/**
 * Queues products as operations, which look the same on every device: whatever a device needs besides the matrices, such as
 * scratch memory, must not be seen by observers.
 */
import type { ProductLibrary } from "../driver/products.js"
import { accept, begin, type Operand, prepare, refuse } from "../runtime/capture/operation.js"
import { type Scratch, workspaceOf } from "../runtime/capture/workspace.js"
import { type AccessMode, OperationType } from "../runtime/order/observer/operation.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import type { Product, Target } from "./product.js"

/** What multiplies on a device: the driver's library, or kernels. */
export type Multiplier = Pick<ProductLibrary, "workspaceBytes" | "multiply">

/**
 * The operands of an operation: first the library's own memory, a workspace and what a call needs besides, then six for each
 * product. Those that are left out are 0.
 */
const WORKSPACE = 0
const BESIDES = 1
const OWN = 2
const operandsOf = ({ a, b, out, bias, scaleA, scaleB }: Product): Operand[] => [
  a,
  b,
  out,
  bias ?? 0,
  scaleA ?? 0,
  scaleB ?? 0,
]

/** @param outs how each product uses its result */
function typeOf(label: string, outs: readonly AccessMode[]): OperationType {
  const modes = outs.flatMap((out): AccessMode[] => ["read", "read", out, "read", "read", "read"])
  return new OperationType("matmul", label, ["write", "read", ...modes], undefined, false, OWN)
}

const matmul = typeOf("matmul", ["write"])
const matmulAdding = typeOf("matmul", ["readwrite"])

/** Queues a product. It calls the four steps of an operation itself: a function made for each product would cost more. */
export function queueProduct(product: Product, { stream, isNamed }: Target, multiplier: Multiplier): void {
  const { a, b, out, bias, scaleA, scaleB, beta } = product
  const type = beta === 0 ? matmul : matmulAdding
  const operands: Operand[] = [0, 0, a, b, out, bias ?? 0, scaleA ?? 0, scaleB ?? 0]
  const operation = begin(stream.state, type, operands, undefined, isNamed)
  const state = operation === undefined ? stream.state : operation.stream
  try {
    const workspace = workspaceOf(state, multiplier.workspaceBytes)
    operands[WORKSPACE] = workspace
    prepare(state, type, operands)
    multiplier.multiply(product, workspace.address, state.handle)
  } catch (error) {
    throw refuse(operation, error)
  }
  accept(state, type, operands, undefined, operation)
}

/** Operation types of groups, by the number of products and whether any of them reads `out`. */
const groupTypes: (OperationType | undefined)[] = []

function groupType(products: readonly Product[]): OperationType {
  const adds = products.some(({ beta }) => beta !== 0)
  const outs = products.map(() => (adds ? "readwrite" : "write"))
  return (groupTypes[products.length * 2 + Number(adds)] ??= typeOf("matmulGrouped", outs))
}

/** How products are queued that need more than a workspace. */
export interface GroupCall {
  readonly workspaceBytes: number
  /** Memory that the call uses besides; undefined if it needs none. It is freed behind the call. */
  scratch(stream: StreamState): Scratch | undefined
  multiply(workspace: number, stream: StreamState, scratch: Scratch | undefined): void
}

/** Queues several products, or one that needs more than a workspace, as one operation. */
export function queueProducts(
  products: readonly Product[],
  { stream, isNamed }: Target,
  call: GroupCall,
  type = groupType(products),
): void {
  const operands: Operand[] = [0, 0, ...products.flatMap(operandsOf)]
  const operation = begin(stream.state, type, operands, undefined, isNamed)
  const state = operation === undefined ? stream.state : operation.stream
  let scratch: Scratch | undefined
  try {
    const workspace = workspaceOf(state, call.workspaceBytes)
    operands[WORKSPACE] = workspace
    scratch = call.scratch(state)
    operands[BESIDES] = scratch ?? 0
    prepare(state, type, operands)
    call.multiply(workspace.address, state, scratch)
  } catch (error) {
    scratch?.dispose()
    throw refuse(operation, error)
  }
  accept(state, type, operands, undefined, operation)
  scratch?.dispose()
}

/** Queues one product that needs more than a workspace. */
export function queueSpecialProduct(product: Product, target: Target, call: GroupCall): void {
  queueProducts([product], target, call, product.beta === 0 ? matmul : matmulAdding)
}
