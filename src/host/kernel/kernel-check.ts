import type { KernelSource } from "../../driver/modules.js"
import { type FlatPrimitive, type FlatSignature, flatten } from "../../common/struct/flat.js"
import { CHUNK_WORDS, LAUNCH_WORDS, MAX_COMMAND_WORDS } from "../control/layout.js"
import { checkExport, checkModule, invalid, type ModuleDefinition } from "./module-check.js"
import { argumentWords, parameterCode } from "./parameter-codes.js"

/** What a worker must know about a kernel. Posted to every worker. */
export interface KernelDefinition {
  readonly id: number
  readonly name: string
  /** Undefined if no kernel is launched: workers only load the module's code. */
  readonly exportName: string | undefined
  /** A code of `parameter-codes.ts` for each argument that is no struct, and for each pointer inside structs. */
  readonly codes: readonly number[]
  /** Undefined without structs. */
  readonly structs: StructParameters | undefined
  readonly module: ModuleDefinition
  /** How its launches are checked; undefined if they are not. */
  readonly check: KernelCheck | undefined
}

/** What a worker must know to check the launches of a kernel. */
export interface KernelCheck {
  readonly parameters: readonly FlatPrimitive[]
  /** Words of its launch without those of the check. */
  readonly words: number
  readonly watchesOutputs: boolean
}

/** The structs of a signature, which a command carries after the other arguments. */
export interface StructParameters {
  readonly places: FlatSignature["places"]
  readonly byteLength: number
  /**
   * Where in the device's memory a WebAssembly kernel finds its copies. Each worker has {@link COPY_BYTES} of its own there,
   * in the order of the workers' places.
   */
  readonly copies: number
}

/** As many as a command can carry, and a multiple of the largest alignment. */
export const COPY_BYTES = 4 * CHUNK_WORDS

/** A kernel as the opening thread knows it. */
export interface HostKernel extends KernelDefinition {
  /** Words of its launch command. */
  readonly words: number
  /** Those of them before the structs. */
  readonly wordsBeforeStructs: number
  /** Its arguments, as `codes` lists them. */
  readonly primitives: readonly FlatPrimitive[]
  /** Whether it should write all elements of its `out` arguments. */
  readonly watchesOutputs: boolean
}

/** What has workers load a module's code. It is never launched. */
export function loaderOf(name: string, id: number, module: ModuleDefinition): HostKernel {
  return {
    ...{ id, name, exportName: undefined, codes: [], structs: undefined, check: undefined, module },
    ...{ words: LAUNCH_WORDS, wordsBeforeStructs: LAUNCH_WORDS, primitives: [], watchesOutputs: false },
  }
}

/**
 * Checks everything about a kernel that can be checked without running it.
 *
 * @param module its module, already checked
 * @param reserveCopies reserves memory for the copies of structs in WebAssembly kernels, and returns its address
 * @throws AuxstreamError AUX_KERNEL_INVALID if it cannot work
 */
export function checkKernel(
  source: KernelSource,
  id: number,
  module: ModuleDefinition = { id: 0, body: checkModule(source.module), globals: [] },
  reserveCopies = () => 0,
): HostKernel {
  const { name, export: exportName } = source
  const label = `Kernel "${name}"`
  const { primitives, places, byteLength } = flatten(source.parameters)
  const codes = primitives.map(parameterCode)
  const wordsBeforeStructs = codes.reduce((sum, code) => sum + argumentWords(code), LAUNCH_WORDS)
  const words = wordsBeforeStructs + Math.ceil(byteLength / 4)
  checkWords(label, words)
  if (exportName === "then") {
    throw invalid(
      label,
      'import() treats a module that exports "then" as a promise: export the kernel under another name',
    )
  }
  const { body } = module
  if ("module" in body) checkExport(label, body.module, exportName, "function")
  const copies = byteLength > 0 && "module" in body ? reserveCopies() : 0
  const structs = byteLength === 0 ? undefined : { places, byteLength, copies }
  return {
    id,
    name,
    exportName,
    codes,
    structs,
    words,
    wordsBeforeStructs,
    primitives,
    watchesOutputs: source.partialOutputs !== true,
    module,
    check: undefined,
  }
}

/** A launch must fit into one command. */
function checkWords(label: string, words: number): void {
  if (words <= MAX_COMMAND_WORDS) return
  throw invalid(
    label,
    `the arguments of a launch take ${4 * (words - LAUNCH_WORDS)} bytes, and at most ` +
      `${4 * (MAX_COMMAND_WORDS - LAUNCH_WORDS)} are possible: pass large structs as arrays`,
  )
}
