/** The calls of cuBLAS for groups of products. Must never be loaded before the first group. */
import { AuxstreamError } from "../../common/errors.js"
import type { CudaContext } from "../api/context.js"
import { bindPresent, type Bound, type NativeLibrary, type Signature } from "../native/ffi.js"
import { toolkitLibrary } from "../toolkit/toolkit-library.js"

const handle = "uintptr_t"
const array = "uintptr_t"

const CUBLAS_CALLS = {
  cublasCreate: ["cublasCreate_v2", "uintptr_t"],
  cublasDestroy: ["cublasDestroy_v2", handle],
  cublasSetStream: ["cublasSetStream_v2", handle, handle],
  cublasSetWorkspace: ["cublasSetWorkspace_v2", handle, "uintptr_t", "size_t"],
  cublasSetMathMode: ["cublasSetMathMode", handle, "int"],
  // From cuBLAS 12.5 on.
  cublasGemmGroupedBatchedEx: [
    "cublasGemmGroupedBatchedEx",
    handle,
    ...([array, array, array, array, array, array] as const), // transposes, sizes, alphas
    ...([array, "int", array] as const), // the left matrices' addresses, in device memory; type, row lengths
    ...([array, "int", array] as const),
    array, // betas
    ...([array, "int", array] as const),
    ...(["int", array, "int"] as const), // the number of groups, their sizes, the compute type
  ],
} as const satisfies Record<string, Signature>

export type CublasCalls = Bound<typeof CUBLAS_CALLS>

const cublas = toolkitLibrary<Partial<CublasCalls>>({
  file: {
    13: { linux: "libcublas.so.13", windows: "cublas64_13.dll" },
    12: { linux: "libcublas.so.12", windows: "cublas64_12.dll" },
  },
  variable: "AUXSTREAM_LIBCUBLAS",
  needs: (name) => name.replace("cublas", "cublasLt"),
  make: (library: NativeLibrary) => bindPresent(library, CUBLAS_CALLS),
  missing: (where) => new AuxstreamError("AUX_DEVICE_UNAVAILABLE", `cuBLAS ${where}.`),
})

/** Loads cuBLAS at the first call. Undefined if there is none, or one without groups: before 12.5. */
export function cublasFor({ library }: CudaContext): CublasCalls | undefined {
  try {
    const calls = cublas(Math.floor(library.version / 1000))
    return hasAll(calls) ? calls : undefined
  } catch {
    return undefined
  }
}

function hasAll(calls: Partial<CublasCalls>): calls is CublasCalls {
  return Object.keys(CUBLAS_CALLS).every((name) => Object.hasOwn(calls, name))
}

/** Without this mode, cuBLAS may add partial sums in the result's 16-bit type. */
export const DISALLOW_REDUCED_PRECISION_REDUCTION = 16
