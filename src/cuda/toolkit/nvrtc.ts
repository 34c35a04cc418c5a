/** Compiles CUDA C++ to machine code in this process, through NVRTC. Knows no cache and no device. */
import { statSync } from "node:fs"
import { AuxstreamError } from "../../common/errors.js"
import { CMemory, cStrings } from "../native/c-memory.js"
import { bind, type Bound, type NativeLibrary, readText, type Signature } from "../native/ffi.js"
import { type Machine, thisMachine } from "../native/machine.js"
import { slow, type Steps } from "../native/steps.js"
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
  nvrtcAddNameExpression: ["nvrtcAddNameExpression", "uintptr_t", "str"],
  nvrtcGetLoweredName: ["nvrtcGetLoweredName", "uintptr_t", "str", "uintptr_t"],
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
  "NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION",
  "NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION",
  "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID",
  "NVRTC_ERROR_INTERNAL_ERROR",
]

/** A program to compile. */
export interface Program {
  /** What our messages call its module. */
  readonly label: string
  readonly source: string
  /** The source's file name, for the compiler's messages. NVRTC looks in its folder for headers in quotes. */
  readonly file: string
  /** Headers by the names under which the source includes them. */
  readonly headers: ReadonlyMap<string, string>
  /** Name expressions of kernels, which NVRTC instantiates. */
  readonly expressions: readonly string[]
  /** All options, the architecture included. */
  readonly options: readonly string[]
  /** A cubin for a real architecture, else PTX. */
  readonly output: "cubin" | "ptx"
}

/** What a program was compiled to. */
export interface CompiledProgram {
  readonly image: Uint8Array
  /** The symbol of each name expression. */
  readonly names: ReadonlyMap<string, string>
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
  *compile(program: Program): Steps<CompiledProgram> {
    const options = cStrings(program.options)
    const headers = [program.headers.values(), program.headers.keys()].map((texts) => cStrings([...texts]))
    const handle = this.#create(program, headers)
    try {
      for (const expression of program.expressions) {
        check(this.#calls.nvrtcAddNameExpression(handle, expression), "nvrtcAddNameExpression")
      }
      const status = yield slow(this.#calls.nvrtcCompileProgram, handle, program.options.length, options.address)
      return this.#result(program, handle, status)
    } finally {
      for (const memory of [options, ...headers]) memory.release()
      this.#destroy(handle)
    }
  }

  #create({ source, file, headers }: Program, [texts, names]: readonly CMemory[]): number {
    const out = new CMemory(8)
    const { nvrtcCreateProgram } = this.#calls
    const [ofTexts, ofNames] = [texts?.address ?? 0, names?.address ?? 0]
    check(nvrtcCreateProgram(out.address, source, file, headers.size, ofTexts, ofNames), "nvrtcCreateProgram")
    return out.number(0)
  }

  #destroy(handle: number): void {
    const out = new CMemory(8)
    out.setNumber(0, handle)
    this.#calls.nvrtcDestroyProgram(out.address)
  }

  #result(program: Program, handle: number, status: number): CompiledProgram {
    if (status !== SUCCESS) {
      const log = new TextDecoder().decode(this.#read(handle, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog"))
      throw new AuxstreamError(
        "AUX_KERNEL_INVALID",
        `${program.label} does not compile (${statusName(status)}, NVRTC ${this.version}, ` +
          `${program.options.join(" ")}):\n${log.replace(/\0.*$/s, "").trim()}${hint(log)}`,
      )
    }
    const image =
      program.output === "cubin"
        ? this.#read(handle, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")
        : this.#read(handle, "nvrtcGetPTXSize", "nvrtcGetPTX")
    return { image, names: this.#names(program, handle) }
  }

  #names({ expressions }: Program, handle: number): Map<string, string> {
    const out = new CMemory(8)
    return new Map(
      expressions.map((expression) => {
        check(this.#calls.nvrtcGetLoweredName(handle, expression, out.address), "nvrtcGetLoweredName")
        return [expression, readText(out.number(0))]
      }),
    )
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

/** What to do about the mistake that a module makes most easily. */
function hint(log: string): string {
  const [, header] = /(?:cannot|could not) open source file "([^"]*)"/.exec(log) ?? []
  if (header === undefined) return ""
  return `\nGive ${header} as a text in \`headers\`, or its folder in \`includePaths\`.`
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
