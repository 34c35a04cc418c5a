/** The calls of cuBLASLt and its constants. Must never be loaded before the first product. */
import { AuxstreamError, CudaError, OutOfMemoryError } from "../../common/errors.js"
import type { CudaContext } from "../api/context.js"
import { bind, type Bound, type NativeLibrary, type Signature } from "../native/ffi.js"
import { toolkitLibrary } from "../toolkit/toolkit-library.js"

const handle = "uintptr_t"
const out = "uintptr_t"
const address = "uintptr_t"
const bytes = "size_t"

const LT_CALLS = {
  cublasLtCreate: ["cublasLtCreate", out],
  cublasLtDestroy: ["cublasLtDestroy", handle],
  cublasLtMatmulDescCreate: ["cublasLtMatmulDescCreate", out, "int", "int"],
  cublasLtMatmulDescDestroy: ["cublasLtMatmulDescDestroy", handle],
  cublasLtMatmulDescSetAttribute: ["cublasLtMatmulDescSetAttribute", handle, "int", address, bytes],
  // The type, rows, columns, and from one column to the next.
  cublasLtMatrixLayoutCreate: ["cublasLtMatrixLayoutCreate", out, "int", "size_t", "size_t", "size_t"],
  cublasLtMatrixLayoutDestroy: ["cublasLtMatrixLayoutDestroy", handle],
  cublasLtMatrixLayoutSetAttribute: ["cublasLtMatrixLayoutSetAttribute", handle, "int", address, bytes],
  cublasLtMatmulPreferenceCreate: ["cublasLtMatmulPreferenceCreate", out],
  cublasLtMatmulPreferenceDestroy: ["cublasLtMatmulPreferenceDestroy", handle],
  cublasLtMatmulPreferenceSetAttribute: ["cublasLtMatmulPreferenceSetAttribute", handle, "int", address, bytes],
  cublasLtMatmulAlgoGetHeuristic: [
    "cublasLtMatmulAlgoGetHeuristic",
    ...([handle, handle, handle, handle, handle, handle, handle] as const), // the description, four layouts, the preference
    "int",
    ...([out, out] as const), // the algorithms, and how many there are
  ],
  cublasLtMatmul: [
    "cublasLtMatmul",
    ...([handle, handle] as const), // the library's, and the description
    address, // alpha
    ...([address, handle, address, handle] as const), // the two matrices and their layouts
    address, // beta
    ...([address, handle, address, handle] as const), // the matrix that is added, and the result
    ...([address, address, bytes] as const), // the algorithm, the workspace
    handle, // the stream
  ],
} as const satisfies Record<string, Signature>

export type LtCalls = Bound<typeof LT_CALLS>

const cublasLt = toolkitLibrary<LtCalls>({
  file: {
    13: { linux: "libcublasLt.so.13", windows: "cublasLt64_13.dll" },
    12: { linux: "libcublasLt.so.12", windows: "cublasLt64_12.dll" },
  },
  variable: "AUXSTREAM_LIBCUBLASLT",
  make: (library: NativeLibrary) => bind(library, LT_CALLS),
  missing: (where) =>
    new AuxstreamError(
      "AUX_DEVICE_UNAVAILABLE",
      `cuBLASLt, which multiplies matrices on CUDA devices, ${where}. Install the CUDA toolkit or ` +
        "`pip install nvidia-cublas` (nvidia-cublas-cu12 for a CUDA 12 driver), or set AUXSTREAM_LIBCUBLASLT to the library's path.",
    ),
})

/** Loads cuBLASLt at the first call. @throws AuxstreamError AUX_DEVICE_UNAVAILABLE if there is none */
export function cublasLtFor({ library }: CudaContext): LtCalls {
  return cublasLt(Math.floor(library.version / 1000))
}

// cublasStatus_t
export const NOT_INITIALIZED = 1
export const ALLOC_FAILED = 3
export const NOT_SUPPORTED = 15
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

/** The error for a status that is not success. */
export function failure(status: number, call: string): AuxstreamError {
  const name = STATUS_NAMES[status] ?? `CUBLAS_STATUS_${status}`
  const error = new CudaError(`${call} failed with ${name}`, name, call)
  if (status !== ALLOC_FAILED) return error
  return new OutOfMemoryError(
    `cuBLASLt found no free device memory: ${error.message}. Dispose of arrays that are not needed.`,
    { cause: error },
  )
}

// cudaDataType_t
export const DATA_TYPES = { float32: 0, float16: 2, bfloat16: 14, float8_e4m3fn: 28 } as const

/** cublasComputeType_t: sums in float32 for all types of inputs, and never from inputs rounded to TF32. */
export const COMPUTE_32F = 68

// cublasLtMatmulDescAttributes_t
export const DESC_TRANSPOSE_A = 3
export const DESC_TRANSPOSE_B = 4
export const DESC_EPILOGUE = 7
export const DESC_BIAS_POINTER = 8
export const DESC_A_SCALE_POINTER = 17
export const DESC_B_SCALE_POINTER = 18
export const DESC_BIAS_DATA_TYPE = 26

// cublasLtMatrixLayoutAttribute_t
export const LAYOUT_BATCH_COUNT = 5
export const LAYOUT_STRIDED_BATCH_OFFSET = 6

// cublasLtMatmulPreferenceAttributes_t
export const PREFERENCE_MAX_WORKSPACE_BYTES = 1
export const PREFERENCE_REDUCTION_SCHEMES = 3
/** Of A; those of B, C and the result follow. */
export const PREFERENCE_MIN_ALIGNMENT = 5

/** cublasLtReductionScheme_t: partial sums are added in float32, never in the result's 16-bit type. */
export const REDUCTION_COMPUTE_TYPE = 2

// cublasLtEpilogue_t
export const EPILOGUE_DEFAULT = 1
export const EPILOGUE_BIAS = 4
export const EPILOGUE_RELU = 2
export const EPILOGUE_GELU = 32

/** sizeof(cublasLtMatmulHeuristicResult_t). It begins with the algorithm. */
export const RESULT_BYTES = 96
