/** The part of the CUDA runtime that the example calls. */

const names =
  process.platform === "win32"
    ? ["cudart64_13.dll", "cudart64_12.dll"]
    : ["libcudart.so.13", "libcudart.so.12", "/usr/local/cuda/lib64/libcudart.so"]

/** cudaMemcpyDefault: the addresses determine the direction. */
const cudaMemcpyDefault = 4

/** The CUDA runtime. Failures throw. */
export interface CudaRuntime {
  memcpyAsync(destination: number, source: number, byteLength: number, stream: bigint): void
}

/**
 * Loads the CUDA runtime, or returns the reason why it cannot. It uses the device's primary context, like auxstream, so both
 * share memory and streams. Open the device first: auxstream configures koffi when it loads the driver.
 */
export async function loadCudaRuntime(): Promise<CudaRuntime | string> {
  // An optional dependency of auxstream, always installed if a CUDA device is open.
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

/** The result for the first name that does not throw. */
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
