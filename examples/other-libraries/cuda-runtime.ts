/** As much of the CUDA runtime as the example calls. */

const names =
  process.platform === "win32"
    ? ["cudart64_13.dll", "cudart64_12.dll"]
    : ["libcudart.so.13", "libcudart.so.12", "/usr/local/cuda/lib64/libcudart.so"]

/** Source and destination are told by their addresses. */
const cudaMemcpyDefault = 4

/** The CUDA runtime; a failure is thrown. */
export interface CudaRuntime {
  memcpyAsync(destination: number, source: number, byteLength: number, stream: bigint): void
}

/**
 * Loads the CUDA runtime, or says why not. It uses the device's primary context, as auxstream does, so that both know
 * the same memory and the same streams. Open the device before: auxstream sets koffi up when it loads the driver.
 */
export async function loadCudaRuntime(): Promise<CudaRuntime | string> {
  // An optional dependency of auxstream's, which is there when a CUDA device is open.
  const { default: koffi } = await import("koffi")
  const library = firstOf(names, (name) => koffi.load(name))
  if (library === undefined) return `none of ${names.join(", ")} is found`
  const setDevice = library.func("int cudaSetDevice(int device)")
  const memcpyAsync = library.func(
    "int cudaMemcpyAsync(uintptr_t destination, uintptr_t source, size_t bytes, int kind, uintptr_t stream)",
  )
  check("cudaSetDevice", setDevice(0))
  return {
    memcpyAsync(destination, source, byteLength, stream) {
      check("cudaMemcpyAsync", memcpyAsync(destination, source, byteLength, cudaMemcpyDefault, stream))
    },
  }
}

/** What the first name gives that does not throw. */
function firstOf<T>(names: readonly string[], load: (name: string) => T): T | undefined {
  for (const name of names) {
    try {
      return load(name)
    } catch {
      continue
    }
  }
  return undefined
}

function check(call: string, status: unknown): void {
  if (status !== 0) throw new Error(`${call} failed with status ${String(status)}`)
}
