/**
 * A plan: cuBLASLt's descriptions of a product's matrices, and the algorithm that it has chosen for them.
 *
 * A plan must only be used for products that it {@link Plan.fits}. An algorithm that was chosen for 16-byte pointers may
 * fault on memory that is aligned less.
 */
import { AuxstreamError } from "../../common/errors.js"
import type { MatrixProduct, ProductLayout } from "../../driver/products.js"
import { CMemory } from "../native/c-memory.js"
import * as lt from "./cublas-lt.js"

/** More than 16 bytes of alignment choose no other algorithm. */
const ALIGNMENTS = 16

const TRANSPOSE = 1
const RESULT_COUNT = 0
const VALUE = 8
const HANDLE = 16

/** The lowest bit of an address, or 0 if it is aligned to 16 bytes. */
function lowestBit(address: number): number {
  const bits = address & (ALIGNMENTS - 1)
  return bits & -bits
}

function alignment(address: number): number {
  return lowestBit(address) || ALIGNMENTS
}

const ACTIVATIONS = { relu: 1, gelu: 2 } as const

/** Everything about a product that a plan depends on, except its sizes, in one number. */
export function kindOf(product: MatrixProduct): number {
  const { types, layout, activation, beta, bias } = product
  let kind = types.code
  kind = (kind << 1) | Number(layout.transposeA)
  kind = (kind << 1) | Number(layout.transposeB)
  kind = (kind << 1) | Number(beta !== 0)
  kind = (kind << 2) | (activation === undefined ? 0 : ACTIVATIONS[activation])
  kind = (kind << 1) | Number(bias !== undefined)
  kind = (kind << 4) | lowestBit(product.a.address)
  kind = (kind << 4) | lowestBit(product.b.address)
  kind = (kind << 4) | lowestBit(product.out.address)
  return (kind << 4) | (bias === undefined ? 0 : lowestBit(bias.address))
}

/** What making a plan needs. */
export interface PlanMaker {
  readonly calls: lt.LtCalls
  /** cuBLASLt's own handle. */
  readonly handle: number
  readonly workspaceBytes: number
  /** Throws the failure of a status that is not success. */
  readonly check: (status: number, call: string) => void
}

/** See the head of this file. */
export class Plan {
  readonly kind: number
  readonly #layout: ProductLayout
  /** cuBLASLt's handles. It sees each matrix transposed, so its A is our b. */
  description = 0
  layoutA = 0
  layoutB = 0
  layoutOut = 0
  /** Whether its products have a bias or scales, whose addresses the description holds. */
  readonly hasPointers: boolean
  /** Where the algorithm is. */
  readonly algorithm: number
  /** Whether its kernel is loaded, so that no product by this plan makes CUDA wait. */
  isLoaded = false
  /** Grows with each use of any plan. */
  lastUse = 0
  /** The next plan in the same place of the table. */
  next: Plan | undefined
  readonly maker: PlanMaker
  readonly #memory = new CMemory(lt.RESULT_BYTES)
  readonly #pointer = new CMemory(8)
  /** The addresses that the description holds now. */
  #bias = 0
  #scaleA = 0
  #scaleB = 0

  /** @throws AuxstreamError AUX_DEVICE_UNAVAILABLE if cuBLASLt has no algorithm for the product; then nothing is left */
  constructor(maker: PlanMaker, product: MatrixProduct) {
    this.kind = kindOf(product)
    this.#layout = product.layout
    this.maker = maker
    this.algorithm = this.#memory.address
    this.hasPointers = product.bias !== undefined || product.types.inputs === "float8_e4m3fn"
    try {
      this.#describe(product)
      this.#choose(product)
    } catch (error) {
      this.free()
      throw error
    }
  }

  /** Whether the plan is for such products. */
  fits(layout: ProductLayout, kind: number): boolean {
    const own = this.#layout
    return (
      own.k === layout.k &&
      own.n === layout.n &&
      own.m === layout.m &&
      this.kind === kind &&
      own.ldB === layout.ldB &&
      own.ldA === layout.ldA &&
      own.ldOut === layout.ldOut &&
      own.count === layout.count &&
      own.strideA === layout.strideA &&
      own.strideB === layout.strideB &&
      own.strideOut === layout.strideOut
    )
  }

  /** The row-major product out = a b is out^T = b^T a^T in column-major order. */
  #describe(product: MatrixProduct): void {
    const { maker } = this
    const { types } = product
    const { m, n, k, transposeA, transposeB, ldA, ldB, ldOut, count, strideA, strideB, strideOut } = product.layout
    const out = new CMemory(64)
    const make = (call: "cublasLtMatmulDescCreate" | "cublasLtMatrixLayoutCreate", status: number): number => {
      maker.check(status, call)
      return out.number(HANDLE)
    }
    const at = out.address + HANDLE
    const { cublasLtMatmulDescCreate, cublasLtMatrixLayoutCreate } = maker.calls
    const layout = (dtype: keyof typeof lt.DATA_TYPES, rows: number, columns: number, leading: number): number =>
      make("cublasLtMatrixLayoutCreate", cublasLtMatrixLayoutCreate(at, lt.DATA_TYPES[dtype], rows, columns, leading))
    this.description = make(
      "cublasLtMatmulDescCreate",
      cublasLtMatmulDescCreate(at, lt.COMPUTE_32F, lt.DATA_TYPES.float32),
    )
    this.layoutB = layout(types.inputs, transposeB ? k : n, transposeB ? n : k, ldB)
    this.layoutA = layout(types.inputs, transposeA ? m : k, transposeA ? k : m, ldA)
    this.layoutOut = layout(types.output, n, m, ldOut)
    if (transposeB) this.#setInt(lt.DESC_TRANSPOSE_A, TRANSPOSE)
    if (transposeA) this.#setInt(lt.DESC_TRANSPOSE_B, TRANSPOSE)
    this.#setInt(lt.DESC_EPILOGUE, epilogueOf(product))
    if (product.bias !== undefined) this.#setInt(lt.DESC_BIAS_DATA_TYPE, lt.DATA_TYPES[types.bias])
    if (this.hasPointers) this.setPointers(product)
    if (count === 1) return
    this.#setBatch(this.layoutB, strideB)
    this.#setBatch(this.layoutA, strideA)
    this.#setBatch(this.layoutOut, strideOut)
  }

  #setInt(attribute: number, value: number): void {
    this.#pointer.setInt(0, value)
    this.maker.check(
      this.maker.calls.cublasLtMatmulDescSetAttribute(this.description, attribute, this.#pointer.address, 4),
      "cublasLtMatmulDescSetAttribute",
    )
  }

  #setBatch(layout: number, stride: number): void {
    const call = "cublasLtMatrixLayoutSetAttribute"
    this.#pointer.setInt(0, this.#layout.count)
    this.maker.check(this.maker.calls[call](layout, lt.LAYOUT_BATCH_COUNT, this.#pointer.address, 4), call)
    this.#pointer.setNumber(0, stride)
    this.maker.check(this.maker.calls[call](layout, lt.LAYOUT_STRIDED_BATCH_OFFSET, this.#pointer.address, 8), call)
  }

  /** Has cuBLASLt choose the algorithm. */
  #choose(product: MatrixProduct): void {
    const { calls, check, handle, workspaceBytes } = this.maker
    const memory = new CMemory(64)
    check(calls.cublasLtMatmulPreferenceCreate(memory.address + HANDLE), "cublasLtMatmulPreferenceCreate")
    const preference = memory.number(HANDLE)
    try {
      const set = (attribute: number, value: number, byteLength: number): void => {
        memory.setNumber(VALUE, value)
        const status = calls.cublasLtMatmulPreferenceSetAttribute(
          preference,
          attribute,
          memory.address + VALUE,
          byteLength,
        )
        check(status, "cublasLtMatmulPreferenceSetAttribute")
      }
      set(lt.PREFERENCE_MAX_WORKSPACE_BYTES, workspaceBytes, 8)
      set(lt.PREFERENCE_REDUCTION_SCHEMES, lt.REDUCTION_COMPUTE_TYPE, 4)
      const { a, b, out } = product
      ;[b, a, out, out].forEach(({ address }, index) => set(lt.PREFERENCE_MIN_ALIGNMENT + index, alignment(address), 4))
      const status = calls.cublasLtMatmulAlgoGetHeuristic(
        handle,
        this.description,
        this.layoutB,
        this.layoutA,
        this.layoutOut,
        this.layoutOut,
        preference,
        1,
        this.algorithm,
        memory.address + RESULT_COUNT,
      )
      if (status !== lt.NOT_SUPPORTED) check(status, "cublasLtMatmulAlgoGetHeuristic")
      if (status === lt.NOT_SUPPORTED || memory.int(RESULT_COUNT) === 0) throw withoutAlgorithm(product)
    } finally {
      calls.cublasLtMatmulPreferenceDestroy(preference)
    }
  }

  /** Puts the addresses of a product's bias and scales into the description. */
  setPointers({ types, bias, scaleA, scaleB }: MatrixProduct): void {
    if (bias !== undefined && bias.address !== this.#bias) {
      this.#setPointer(lt.DESC_BIAS_POINTER, bias.address)
      this.#bias = bias.address
    }
    if (types.inputs !== "float8_e4m3fn") return
    const [ofA, ofB] = [scaleA?.address ?? 0, scaleB?.address ?? 0]
    if (ofB !== this.#scaleB) this.#setPointer(lt.DESC_A_SCALE_POINTER, ofB)
    this.#scaleB = ofB
    if (ofA !== this.#scaleA) this.#setPointer(lt.DESC_B_SCALE_POINTER, ofA)
    this.#scaleA = ofA
  }

  #setPointer(attribute: number, value: number): void {
    this.#pointer.setNumber(0, value)
    this.maker.check(
      this.maker.calls.cublasLtMatmulDescSetAttribute(this.description, attribute, this.#pointer.address, 8),
      "cublasLtMatmulDescSetAttribute",
    )
  }

  /** Destroys the descriptions. They are host memory, and no queued product uses them. */
  free(): void {
    const { cublasLtMatmulDescDestroy, cublasLtMatrixLayoutDestroy } = this.maker.calls
    if (this.description !== 0) cublasLtMatmulDescDestroy(this.description)
    for (const layout of [this.layoutA, this.layoutB, this.layoutOut]) {
      if (layout !== 0) cublasLtMatrixLayoutDestroy(layout)
    }
    this.description = this.layoutA = this.layoutB = this.layoutOut = 0
  }
}

function epilogueOf({ bias, activation }: MatrixProduct): number {
  const added = bias === undefined ? 0 : lt.EPILOGUE_BIAS
  if (activation === "relu") return lt.EPILOGUE_RELU | added
  if (activation === "gelu") return lt.EPILOGUE_GELU | added
  return added === 0 ? lt.EPILOGUE_DEFAULT : added
}

function withoutAlgorithm(product: MatrixProduct): AuxstreamError {
  const { types, bias, activation } = product
  const { m, n, k, transposeA, transposeB } = product.layout
  const parts = [
    `${m} x ${k} by ${k} x ${n} in ${types.inputs} to ${types.output}`,
    ...(transposeA ? ["a transposed"] : []),
    ...(transposeB ? ["b transposed"] : []),
    ...(bias === undefined ? [] : ["with a bias"]),
    ...(activation === undefined ? [] : [`with ${activation}`]),
  ]
  return new AuxstreamError(
    "AUX_DEVICE_UNAVAILABLE",
    `cuBLASLt has no algorithm on this device for the product ${parts.join(", ")}, with the given alignments. Use arrays and ` +
      "rows that begin at multiples of 16 bytes, or add the bias and the activation with a kernel of your own.",
  )
}
