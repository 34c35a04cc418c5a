/**
 * NVTX: named ranges of the host's time that NVIDIA's profilers show. Its library does nothing unless a profiler runs. Ranges
 * may overlap, because an async function's range ends in another turn of the event loop.
 */
import { AuxstreamError } from "../../common/errors.js"
import type { CudaContext } from "../api/context.js"
import { bind, type Bound, type NativeLibrary, type Signature } from "../native/ffi.js"
import { toolkitLibrary } from "./toolkit-library.js"

const STARTING = { start: ["nvtxRangeStartA", "str"] } as const satisfies Record<string, Signature>
const ENDING = { end: ["nvtxRangeEnd", "uintptr_t"] } as const satisfies Record<string, Signature>

type NvtxCalls = Bound<typeof STARTING> & Bound<typeof ENDING>

const nvtx = toolkitLibrary<NvtxCalls>({
  file: {
    13: { linux: "libnvtx3interop.so.1", windows: "nvtx3interop.dll" },
    12: { linux: "libnvToolsExt.so.1", windows: "nvToolsExt64_1.dll" },
  },
  variable: "AUXSTREAM_LIBNVTX",
  make: (library: NativeLibrary) => ({ ...bind(library, STARTING, "uintptr_t"), ...bind(library, ENDING) }),
  missing: (where) => new AuxstreamError("AUX_DEVICE_UNAVAILABLE", `NVTX ${where}.`),
})

/** The ranges of one device. Finds the library at its first range. */
export class Ranges {
  readonly #context: CudaContext
  /** Null if there is no library. */
  #calls: NvtxCalls | null | undefined

  constructor(context: CudaContext) {
    this.#context = context
  }

  /** @returns what ends the range; undefined if there is no library */
  start(name: string): (() => void) | undefined {
    const calls = (this.#calls ??= this.#load())
    if (calls === null) return undefined
    const range = calls.start(name)
    return () => void calls.end(range)
  }

  #load(): NvtxCalls | null {
    try {
      return nvtx(Math.floor(this.#context.library.version / 1000))
    } catch {
      return null
    }
  }
}
