/**
 * Matrix products through cuBLAS, with one handle for each stream.
 *
 * A handle must never be shared between streams, because it keeps state for what it queues next. A product whose kernel
 * may not be loaded yet must only be queued while the device is idle.
 */
import type { MatrixProduct, MemoryRange, ProductLibrary, StreamHandle } from "../../driver.js"
import { AuxstreamError, CudaError, OutOfMemoryError } from "../../common/errors.js"
import { CMemory } from "../native/c-memory.js"
import type { CudaContext } from "../api/context.js"
import { bind, type Bound, type NativeLibrary, type Signature } from "../native/ffi.js"
import { KnownProducts } from "./known-products.js"
import type { Need, Quiet } from "../sharing/quiet.js"
import { SUCCESS } from "../api/status.js"
import { toolkitLibrary } from "./toolkit-library.js"

const CUBLAS_CALLS = {
  cublasCreate: ["cublasCreate_v2", "uintptr_t"],
  cublasDestroy: ["cublasDestroy_v2", "uintptr_t"],
  cublasSetStream: ["cublasSetStream_v2", "uintptr_t", "uintptr_t"],
  cublasSetMathMode: ["cublasSetMathMode", "uintptr_t", "int"],
  cublasSetWorkspace: ["cublasSetWorkspace_v2", "uintptr_t", "uintptr_t", "size_t"],
  cublasGemmStridedBatchedEx: [
    "cublasGemmStridedBatchedEx",
    "uintptr_t",
    ...(["int", "int", "int", "int", "int"] as const), // transposes, then the sizes
    "uintptr_t", // alpha
    ...(["uintptr_t", "int", "int", "size_t"] as const), // the left matrix: address, type, row length, stride
    ...(["uintptr_t", "int", "int", "size_t"] as const),
    "uintptr_t", // beta
    ...(["uintptr_t", "int", "int", "size_t"] as const),
    ...(["int", "int", "int"] as const), // count, compute type, algorithm
  ],
} as const satisfies Record<string, Signature>

type CublasCalls = Bound<typeof CUBLAS_CALLS>

const cublas = toolkitLibrary<CublasCalls>({
  file: {
    13: { linux: "libcublas.so.13", windows: "cublas64_13.dll" },
    12: { linux: "libcublas.so.12", windows: "cublas64_12.dll" },
  },
  variable: "AUXSTREAM_LIBCUBLAS",
  needs: (name) => name.replace("cublas", "cublasLt"),
  make: (library: NativeLibrary) => bind(library, CUBLAS_CALLS),
  missing: (where) =>
    new AuxstreamError(
      "AUX_DEVICE_UNAVAILABLE",
      `cuBLAS, which multiplies matrices on CUDA devices, ${where}. Install the CUDA toolkit or ` +
        "`pip install nvidia-cublas` (nvidia-cublas-cu12 for a CUDA 12 driver), or set AUXSTREAM_LIBCUBLAS to the library's path.",
    ),
})

/** The size that NVIDIA recommends for recent devices. It is the same on every stream, so that results are the same, too. */
const WORKSPACE_BYTES = 32 * 1024 * 1024

const NOT_INITIALIZED = 1
const ALLOC_FAILED = 3
const STATUS_NAMES: Readonly<Record<number, string>> = {
  1: "CUBLAS_STATUS_NOT_INITIALIZED",
  3: "CUBLAS_STATUS_ALLOC_FAILED",
  7: "CUBLAS_STATUS_INVALID_VALUE",
  8: "CUBLAS_STATUS_ARCH_MISMATCH",
  11: "CUBLAS_STATUS_MAPPING_ERROR",
  13: "CUBLAS_STATUS_EXECUTION_FAILED",
  14: "CUBLAS_STATUS_INTERNAL_ERROR",
  15: "CUBLAS_STATUS_NOT_SUPPORTED",
}

/** cudaDataType. */
const DATA_TYPES = { float32: 0, float16: 2, bfloat16: 14 } as const
/** Accumulates in float32, whatever the inputs' type. */
const COMPUTE_32F = 68
/** Without this flag, cuBLAS may add partial sums in the result's 16-bit type. */
const DISALLOW_REDUCED_PRECISION_REDUCTION = 16
const DEFAULT_ALGORITHM = -1
const NO_TRANSPOSE = 0
const TRANSPOSE = 1

/**
 * A handle bound to a stream, and the address of the workspace that is set for it. Binding a stream resets the workspace
 * to cuBLAS' own.
 */
interface BoundHandle {
  readonly handle: number
  workspace: number
}

function libraryFor({ library }: CudaContext): CublasCalls {
  return cublas(Math.floor(library.version / 1000))
}

/** Destroys a handle that no stream uses. Waits until the device is idle. Never throws. */
export function destroyProducts(context: CudaContext, handle: number): void {
  const status = context.within(() => libraryFor(context).cublasDestroy(handle))
  if (status !== SUCCESS) context.warnOfLeakBy(failure(status, "cublasDestroy"))
}

/** The matrix products of one device. */
export class Cublas implements ProductLibrary {
  readonly workspaceBytes = WORKSPACE_BYTES
  readonly #context: CudaContext
  readonly #quiet: Quiet
  readonly #known = new KnownProducts()
  #calls: CublasCalls | undefined
  readonly #handles = new Map<StreamHandle, BoundHandle>()
  #idle: number[] = []
  /** alpha, and beta 8 bytes after it. cuBLAS reads both during the call. */
  readonly #scalars = new CMemory(16)
  readonly #scalarValues: Float32Array<ArrayBuffer>

  constructor(context: CudaContext, quiet: Quiet) {
    this.#context = context
    this.#quiet = quiet
    this.#scalarValues = new Float32Array(this.#scalars.bytes.buffer)
  }

  /**
   * Queues products on a stream. The workspace is scratch memory. The first product of a kind may load a kernel, for which
   * CUDA waits until the device is idle.
   *
   * @throws AuxstreamError AUX_NOT_READY when a product of a new kind finds the device busy for too long
   */
  multiply(product: MatrixProduct, workspace: MemoryRange, stream: StreamHandle): void {
    this.#context.lastEvent = undefined
    if (this.#known.has(product)) return this.#queue(product, workspace, stream)
    this.#quiet.block(needOf(product), () => this.#queue(product, workspace, stream))
    this.#known.add(product)
  }

  #queue(product: MatrixProduct, workspace: MemoryRange, stream: StreamHandle): void {
    const calls = this.#library()
    this.#context.within(() => {
      const bound = this.#boundTo(calls, stream)
      this.#setWorkspace(calls, bound, workspace)
      this.#checkInRoom(() => this.#submit(calls, bound.handle, product), "cublasGemmStridedBatchedEx")
    })
  }

  #library(): CublasCalls {
    return (this.#calls ??= libraryFor(this.#context))
  }

  /** cuBLAS matrices are column-major and ours are row-major, so it sees each one transposed and computes out^T = b^T a^T. */
  #submit(calls: CublasCalls, handle: number, product: MatrixProduct): number {
    const { m, n, k, transposeA, transposeB } = product
    this.#scalarValues[0] = product.alpha
    this.#scalarValues[2] = product.beta
    return calls.cublasGemmStridedBatchedEx(
      handle,
      transposeB ? TRANSPOSE : NO_TRANSPOSE,
      transposeA ? TRANSPOSE : NO_TRANSPOSE,
      n,
      m,
      k,
      this.#scalars.address,
      product.b,
      DATA_TYPES[product.inputs],
      transposeB ? Math.max(1, k) : n,
      product.strideB,
      product.a,
      DATA_TYPES[product.inputs],
      transposeA ? m : Math.max(1, k),
      product.strideA,
      this.#scalars.address + 8,
      product.out,
      DATA_TYPES[product.output],
      n,
      product.strideOut,
      product.count,
      COMPUTE_32F,
      DEFAULT_ALGORITHM,
    )
  }

  /** The stream's handle, made or reused at its first product. */
  #boundTo(calls: CublasCalls, stream: StreamHandle): BoundHandle {
    const known = this.#handles.get(stream)
    if (known !== undefined) return known
    const handle = this.#idle.pop() ?? this.#create(calls)
    try {
      this.#check(calls.cublasSetStream(handle, stream), "cublasSetStream")
      this.#check(calls.cublasSetMathMode(handle, DISALLOW_REDUCED_PRECISION_REDUCTION), "cublasSetMathMode")
    } catch (error) {
      this.#idle.push(handle)
      throw error
    }
    const bound = { handle, workspace: 0 }
    this.#handles.set(stream, bound)
    return bound
  }

  /** Usually the stream's workspace is unchanged, and this does nothing. */
  #setWorkspace(calls: CublasCalls, bound: BoundHandle, { address, length }: MemoryRange): void {
    if (bound.workspace === address) return
    bound.workspace = 0
    this.#check(calls.cublasSetWorkspace(bound.handle, address, length), "cublasSetWorkspace")
    bound.workspace = address
  }

  #create(calls: CublasCalls): number {
    const out = new CMemory(8)
    this.#checkInRoom(() => calls.cublasCreate(out.address), "cublasCreate")
    const handle = out.number(0)
    this.#context.holding.add("products", handle)
    return handle
  }

  /** The stream is being destroyed. Its handle is kept for another stream: destroying it would wait for the whole device. */
  forgetStream(stream: StreamHandle): void {
    const bound = this.#handles.get(stream)
    if (bound === undefined) return
    this.#handles.delete(stream)
    this.#idle.push(bound.handle)
  }

  /** Does not destroy the handles: `leftovers.ts` does, with everything else that the device leaves behind. */
  close(): void {
    this.#handles.clear()
    this.#idle = []
  }

  #checkInRoom(make: () => number, call: string): void {
    this.#check(this.#context.room.for(make, make(), isShortOfMemory), call)
  }

  #check(status: number, call: string): void {
    if (status === SUCCESS) return
    this.#context.checkFaults()
    throw failure(status, call)
  }
}

function needOf({ m, n, k, inputs }: MatrixProduct): Need {
  return {
    what: `The first product of ${m} x ${k} by ${k} x ${n} in ${inputs} cannot be queued`,
    advice: "Multiply once with these sizes and types beforehand, while the device is idle.",
  }
}

/** cuBLAS allocates memory when it creates a handle and when it loads a kernel. These statuses mean that it got none. */
function isShortOfMemory(status: number): boolean {
  return status === NOT_INITIALIZED || status === ALLOC_FAILED
}

function failure(status: number, call: string): AuxstreamError {
  const name = STATUS_NAMES[status] ?? `CUBLAS_STATUS_${status}`
  const error = new CudaError(`${call} failed with ${name}`, name, call)
  if (status !== ALLOC_FAILED) return error
  return new OutOfMemoryError(
    `cuBLAS found no free device memory: ${error.message}. Dispose of arrays that are not needed.`,
    {
      cause: error,
    },
  )
}
