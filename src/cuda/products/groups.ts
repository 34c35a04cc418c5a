/**
 * Groups of products in one call of cuBLAS. Measured on an H200: 7 to 12 µs of host time for a group of any size, where one
 * call of cuBLASLt for each product takes 6 µs, and up to twice as fast on the device.
 *
 * cuBLAS reads the matrices' addresses on the device, so it cannot see how they are aligned. A group must only have products
 * all of whose addresses and rows are aligned to 16 bytes. A handle must never be shared between streams, because it keeps
 * state for what it queues next.
 */
import type { StreamHandle } from "../../driver/handles.js"
import type { MatrixProduct, ProductGroup } from "../../driver/products.js"
import { SUCCESS } from "../api/status.js"
import type { CudaContext } from "../api/context.js"
import { CMemory } from "../native/c-memory.js"
import { cublasFor, type CublasCalls, DISALLOW_REDUCED_PRECISION_REDUCTION } from "./cublas.js"
import { COMPUTE_32F, DATA_TYPES } from "./cublas-lt.js"

const ALIGNMENT = 16

/** A handle bound to a stream, and the workspace that is set for it. Binding a stream resets the workspace to cuBLAS' own. */
interface BoundHandle {
  readonly handle: number
  workspace: number
}

/** What queueing needs of the device's products. */
export interface GroupParts {
  readonly context: CudaContext
  readonly workspaceBytes: number
  /** Throws the failure of a status that is not success. */
  readonly check: (status: number, call: string) => void
}

/** Destroys a handle that no stream uses. Returns cuBLAS' status. */
export function destroyGroupHandle(context: CudaContext, handle: number): number {
  return context.within(() => cublasFor(context)?.cublasDestroy(handle) ?? SUCCESS)
}

/** See the head of this file. */
export class Groups {
  readonly #parts: GroupParts
  readonly #handles = new Map<StreamHandle, BoundHandle>()
  #idle: number[] = []
  /** The kinds of groups whose kernels are known to be loaded. */
  readonly #known = new Set<number>()
  #lists = new Lists(16)

  constructor(parts: GroupParts) {
    this.#parts = parts
  }

  /** Those of the products that one call computes, and where their matrices are; undefined if there are not two. */
  groupOf(products: readonly MatrixProduct[]): ProductGroup | undefined {
    const first = products.find(isGroupable)
    if (first === undefined) return undefined
    const together = products.filter((product) => product.types === first.types && isGroupable(product))
    if (together.length < 2 || cublasFor(this.#parts.context) === undefined) return undefined
    return { products: together, pointers: pointersOf(together) }
  }

  /** Whether the group's kernels are loaded, as far as can be known: cuBLAS does not say which it will choose. */
  isLoaded({ products }: ProductGroup): boolean {
    return this.#known.has(kindOf(products))
  }

  /** Queues a group. `pointers` is where its pointers are on the device. */
  multiply({ products }: ProductGroup, pointers: number, workspace: number, stream: StreamHandle): void {
    const calls = cublasFor(this.#parts.context)
    const [first] = products
    if (calls === undefined || first === undefined) return
    const { context, check } = this.#parts
    context.within(() => {
      const bound = this.#boundTo(calls, stream)
      this.#setWorkspace(calls, bound, workspace)
      check(this.#submit(calls, bound.handle, products, first, pointers), "cublasGemmGroupedBatchedEx")
    })
    this.#known.add(kindOf(products))
  }

  #submit(
    calls: CublasCalls,
    handle: number,
    products: readonly MatrixProduct[],
    { types }: MatrixProduct,
    pointers: number,
  ): number {
    if (this.#lists.room < products.length) this.#lists = new Lists(2 * products.length)
    const lists = this.#lists
    lists.write(products)
    const bytes = 8 * products.reduce((sum, { layout }) => sum + layout.count, 0)
    const [inputs, output] = [DATA_TYPES[types.inputs], DATA_TYPES[types.output]]
    return calls.cublasGemmGroupedBatchedEx(
      handle,
      ...([
        lists.at(TRANSPOSE_B),
        lists.at(TRANSPOSE_A),
        lists.at(N),
        lists.at(M),
        lists.at(K),
        lists.at(ALPHA),
      ] as const),
      ...([pointers, inputs, lists.at(LD_B)] as const),
      ...([pointers + bytes, inputs, lists.at(LD_A)] as const),
      lists.at(BETA),
      ...([pointers + 2 * bytes, output, lists.at(LD_OUT)] as const),
      ...([products.length, lists.at(COUNT), COMPUTE_32F] as const),
    )
  }

  /** The stream's handle, made or reused at its first group. */
  #boundTo(calls: CublasCalls, stream: StreamHandle): BoundHandle {
    const known = this.#handles.get(stream)
    if (known !== undefined) return known
    const { check } = this.#parts
    const handle = this.#idle.pop() ?? this.#create(calls)
    try {
      check(calls.cublasSetStream(handle, stream), "cublasSetStream")
      check(calls.cublasSetMathMode(handle, DISALLOW_REDUCED_PRECISION_REDUCTION), "cublasSetMathMode")
    } catch (error) {
      this.#idle.push(handle)
      throw error
    }
    const bound = { handle, workspace: 0 }
    this.#handles.set(stream, bound)
    return bound
  }

  /** Usually the stream's workspace is unchanged, and this does nothing. */
  #setWorkspace(calls: CublasCalls, bound: BoundHandle, workspace: number): void {
    if (bound.workspace === workspace) return
    const { check, workspaceBytes } = this.#parts
    bound.workspace = 0
    check(calls.cublasSetWorkspace(bound.handle, workspace, workspaceBytes), "cublasSetWorkspace")
    bound.workspace = workspace
  }

  #create(calls: CublasCalls): number {
    const { context, check } = this.#parts
    const out = new CMemory(8)
    check(calls.cublasCreate(out.address), "cublasCreate")
    const handle = out.number(0)
    context.holding.add("groups", handle)
    return handle
  }

  /** The stream is being destroyed. Its handle is kept for another one: destroying it would wait for the whole device. */
  forgetStream(stream: StreamHandle): void {
    const bound = this.#handles.get(stream)
    if (bound === undefined) return
    this.#handles.delete(stream)
    this.#idle.push(bound.handle)
  }
}

/** What cuBLAS takes in a group: no epilogues, one dtype, everything aligned. */
function isGroupable({ types, layout, a, b, out, bias, activation }: MatrixProduct): boolean {
  if (types.inputs !== types.output || bias !== undefined || activation !== undefined) return false
  const { ldA, ldB, ldOut, strideA, strideB, strideOut } = layout
  const elements = ldA | ldB | ldOut | (strideA % ALIGNMENT) | (strideB % ALIGNMENT) | (strideOut % ALIGNMENT)
  const byteLength = types.inputs === "float32" ? 4 : 2
  return ((elements * byteLength) | a.address | b.address | out.address) % ALIGNMENT === 0
}

/** The addresses of all matrices: first cuBLAS' left ones, which are our `b`, then `a`, then `out`. */
function pointersOf(products: readonly MatrixProduct[]): BigUint64Array<ArrayBuffer> {
  const count = products.reduce((sum, { layout }) => sum + layout.count, 0)
  const pointers = new BigUint64Array(3 * count)
  let at = 0
  for (const { types, layout, a, b, out } of products) {
    const byteLength = types.inputs === "float32" ? 4 : 2
    for (let index = 0; index < layout.count; index++) {
      pointers[at] = BigInt(b.address + index * layout.strideB * byteLength)
      pointers[count + at] = BigInt(a.address + index * layout.strideA * byteLength)
      pointers[2 * count + at] = BigInt(out.address + index * layout.strideOut * byteLength)
      at += 1
    }
  }
  return pointers
}

/** Dtypes, transposes, and the sizes to the next power of two. */
function kindOf(products: readonly MatrixProduct[]): number {
  let [m, n, k, transposes, code] = [0, 0, 0, 0, 0]
  for (const { types, layout } of products) {
    m = Math.max(m, layout.m)
    n = Math.max(n, layout.n)
    k = Math.max(k, layout.k)
    transposes |= 1 << (Number(layout.transposeA) * 2 + Number(layout.transposeB))
    code = types.code
  }
  const logarithms = (Math.clz32(m) << 10) | (Math.clz32(n) << 5) | Math.clz32(k)
  return (((logarithms << 4) | transposes) << 3) | code
}

const [TRANSPOSE_A, TRANSPOSE_B, M, N, K, LD_A, LD_B, LD_OUT, COUNT, ALPHA, BETA] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
] as const
const LISTS = 11

/** The lists of a call: an element for each product. cuBLAS has read them when the call returns. */
class Lists {
  readonly room: number
  readonly #memory: CMemory
  readonly #ints: Int32Array<ArrayBuffer>
  readonly #floats: Float32Array<ArrayBuffer>

  constructor(room: number) {
    this.room = room
    this.#memory = new CMemory(LISTS * room * 4)
    this.#ints = new Int32Array(this.#memory.bytes.buffer)
    this.#floats = new Float32Array(this.#memory.bytes.buffer)
  }

  /** The address of a list. */
  at(list: number): number {
    return this.#memory.address + list * this.room * 4
  }

  write(products: readonly MatrixProduct[]): void {
    for (const [index, { layout, alpha, beta }] of products.entries()) {
      const { transposeA, transposeB, m, n, k, ldA, ldB, ldOut, count } = layout
      const values = [Number(transposeA), Number(transposeB), m, n, k, ldA, ldB, ldOut, count]
      for (const [list, value] of values.entries()) this.#ints[list * this.room + index] = value
      this.#floats[ALPHA * this.room + index] = alpha
      this.#floats[BETA * this.room + index] = beta
    }
  }
}
