/** Compiles CUDA C++ to machine code in this process, through NVRTC. Knows no cache and no device. */
import { statSync } from "node:fs"
import { AuxstreamError } from "../../common/errors.js"
import { CMemory, cStrings } from "../native/c-memory.js"
import { bind, inBackground, type Bound, type NativeLibrary, type Signature } from "../native/ffi.js"
import { type Machine, thisMachine } from "../native/machine.js"
import { SUCCESS } from "../api/status.js"
import { loadBeside, toolkitLibrary } from "./toolkit-library.js"
import { includeFolders, type ToolkitFile } from "./toolkit-places.js"

const NVRTC_CALLS = {
  nvrtcVersion: ["nvrtcVersion", "uintptr_t", "uintptr_t"],
  nvrtcGetNumSupportedArchs: ["nvrtcGetNumSupportedArchs", "uintptr_t"],
  nvrtcGetSupportedArchs: ["nvrtcGetSupportedArchs", "uintptr_t"],
  nvrtcCreateProgram: ["nvrtcCreateProgram", "uintptr_t", "str", "str", "int", "uintptr_t", "uintptr_t"],
  nvrtcDestroyProgram: ["nvrtcDestroyProgram", "uintptr_t"],
  nvrtcCompileProgram: ["nvrtcCompileProgram", "uintptr_t", "int", "uintptr_t"],
  nvrtcGetProgramLogSize: ["nvrtcGetProgramLogSize", "uintptr_t", "uintptr_t"],
  nvrtcGetProgramLog: ["nvrtcGetProgramLog", "uintptr_t", "uintptr_t"],
  nvrtcGetCUBINSize: ["nvrtcGetCUBINSize", "uintptr_t", "uintptr_t"],
  nvrtcGetCUBIN: ["nvrtcGetCUBIN", "uintptr_t", "uintptr_t"],
  nvrtcGetPTXSize: ["nvrtcGetPTXSize", "uintptr_t", "uintptr_t"],
  nvrtcGetPTX: ["nvrtcGetPTX", "uintptr_t", "uintptr_t"],
} as const satisfies Record<string, Signature>

type NvrtcCalls = Bound<typeof NVRTC_CALLS>

const STATUS_NAMES = [
  "NVRTC_SUCCESS",
  "NVRTC_ERROR_OUT_OF_MEMORY",
  "NVRTC_ERROR_PROGRAM_CREATION_FAILURE",
  "NVRTC_ERROR_INVALID_INPUT",
  "NVRTC_ERROR_INVALID_PROGRAM",
  "NVRTC_ERROR_INVALID_OPTION",
  "NVRTC_ERROR_COMPILATION",
  "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE",
]

/** A program to compile. */
export interface Program {
  /** The kernel's name, for our messages and as the file name in the compiler's. */
  readonly name: string
  readonly source: string
  /** All options, the architecture included. */
  readonly options: readonly string[]
  /** A cubin for a real architecture, else PTX. */
  readonly output: "cubin" | "ptx"
}

/** The compiler. */
export class Nvrtc {
  /** `"13.0"` */
  readonly version: string
  /** Differs between builds of the same version. */
  readonly build: string
  /** The architectures that it can compile for, ascending; 90 is `sm_90`. */
  readonly architectures: readonly number[]
  /** Folders with CUDA's own headers. */
  readonly includes: readonly string[]
  readonly #calls: NvrtcCalls

  /** `file`: the library's path, if known. */
  constructor(library: NativeLibrary, file: string | undefined) {
    this.#calls = bind(library, NVRTC_CALLS)
    const out = new CMemory(16)
    check(this.#calls.nvrtcVersion(out.address, out.address + 8), "nvrtcVersion")
    this.version = `${out.int(0)}.${out.int(8)}`
    this.architectures = this.#readArchitectures()
    this.includes = includeFolders(thisMachine(), file)
    this.build = `${this.version} ${file === undefined ? "" : stamp(file)}`
    // NVRTC loads its builtins by name at the first compilation. The loader does not search the folder where pip puts them.
    if (file !== undefined) loadBeside(file, builtinsName(thisMachine(), this.version))
  }

  #readArchitectures(): number[] {
    const out = new CMemory(8)
    check(this.#calls.nvrtcGetNumSupportedArchs(out.address), "nvrtcGetNumSupportedArchs")
    const count = out.int(0)
    const list = new CMemory(count * 4)
    check(this.#calls.nvrtcGetSupportedArchs(list.address), "nvrtcGetSupportedArchs")
    return Array.from({ length: count }, (_, index) => list.int(index * 4)).sort((a, b) => a - b)
  }

  /** @throws AuxstreamError AUX_KERNEL_INVALID with the compiler's log */
  compile(program: Program): Uint8Array {
    return this.#withProgram(program, (handle) => {
      const options = cStrings(program.options)
      const status = this.#calls.nvrtcCompileProgram(handle, program.options.length, options.address)
      return this.#result(program, handle, status)
    })
  }

  /** Like {@link compile}, on a thread of Node's pool. */
  async compileInBackground(program: Program): Promise<Uint8Array> {
    const out = this.#create(program)
    const options = cStrings(program.options)
    try {
      const handle = out.number(0)
      const { nvrtcCompileProgram } = this.#calls
      const status = await inBackground(nvrtcCompileProgram, handle, program.options.length, options.address)
      return this.#result(program, handle, status)
    } finally {
      options.release()
      this.#calls.nvrtcDestroyProgram(out.address)
    }
  }

  #withProgram<T>(program: Program, use: (handle: number) => T): T {
    const out = this.#create(program)
    try {
      return use(out.number(0))
    } finally {
      this.#calls.nvrtcDestroyProgram(out.address)
    }
  }

  #create({ source, name }: Program): CMemory {
    const out = new CMemory(8)
    check(this.#calls.nvrtcCreateProgram(out.address, source, `${name}.cu`, 0, 0, 0), "nvrtcCreateProgram")
    return out
  }

  #result(program: Program, handle: number, status: number): Uint8Array {
    if (status !== SUCCESS) {
      const log = new TextDecoder().decode(this.#read(handle, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog"))
      throw new AuxstreamError(
        "AUX_KERNEL_INVALID",
        `Kernel "${program.name}" does not compile (${statusName(status)}, NVRTC ${this.version}, ` +
          `${program.options.join(" ")}):\n${log.replace(/\0.*$/s, "").trim()}`,
      )
    }
    return program.output === "cubin"
      ? this.#read(handle, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")
      : this.#read(handle, "nvrtcGetPTXSize", "nvrtcGetPTX")
  }

  #read(
    handle: number,
    sizeCall: "nvrtcGetProgramLogSize" | "nvrtcGetCUBINSize" | "nvrtcGetPTXSize",
    call: "nvrtcGetProgramLog" | "nvrtcGetCUBIN" | "nvrtcGetPTX",
  ): Uint8Array {
    const out = new CMemory(8)
    check(this.#calls[sizeCall](handle, out.address), sizeCall)
    const byteLength = out.number(0)
    const memory = new CMemory(byteLength)
    check(this.#calls[call](handle, memory.address), call)
    return memory.bytes.subarray(0, byteLength)
  }
}

/** The file name of the library with NVRTC's own headers and device code. */
export function builtinsName({ platform }: Machine, version: string): string {
  return platform === "win32" ? `nvrtc-builtins64_${version.replace(".", "")}.dll` : `libnvrtc-builtins.so.${version}`
}

function stamp(file: string): string {
  const stats = statSync(file, { throwIfNoEntry: false })
  return stats === undefined ? "" : `${stats.size} ${stats.mtimeMs}`
}

function statusName(status: number): string {
  return STATUS_NAMES[status] ?? `NVRTC status ${status}`
}

function check(status: number, call: string): void {
  if (status === SUCCESS) return
  throw new AuxstreamError(
    "AUX_KERNEL_UNAVAILABLE",
    `The CUDA compiler failed: ${call} returned ${statusName(status)}.`,
  )
}

const NVRTC_FILE: ToolkitFile = {
  13: { linux: "libnvrtc.so.13", windows: "nvrtc64_130_0.dll" },
  12: { linux: "libnvrtc.so.12", windows: "nvrtc64_120_0.dll" },
}

/**
 * The compiler, loaded at the first call.
 *
 * @throws AuxstreamError AUX_KERNEL_UNAVAILABLE, naming the places that were searched
 */
export const nvrtc = toolkitLibrary({
  file: NVRTC_FILE,
  variable: "AUXSTREAM_LIBNVRTC",
  make: (library, file) => new Nvrtc(library, file),
  missing: (where) =>
    new AuxstreamError(
      "AUX_KERNEL_UNAVAILABLE",
      `NVRTC, which compiles CUDA C++, ${where}. Install the CUDA toolkit or \`pip install nvidia-cuda-nvrtc\` ` +
        "(nvidia-cuda-nvrtc-cu12 for a CUDA 12 driver), set AUXSTREAM_LIBNVRTC to the library's path, or give the kernel as PTX or cubin.",
    ),
})
