import { accessSync, constants, readFileSync, statSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { isAbsolute } from "node:path"
import { fileURLToPath, pathToFileURL, URL } from "node:url"
import type { HostModuleBody, KernelSource } from "../../driver.js"
import { AuxstreamError } from "../../common/errors.js"
import { type FlatSignature, flatten } from "../../common/struct/flat.js"
import { isTypedArray } from "../../common/typed-array.js"
import { ALIGNMENT } from "../../allocator/allocator.js"
import { CHUNK_WORDS, LAUNCH_WORDS, MAX_COMMAND_WORDS } from "../control/layout.js"
import { argumentWords, parameterCode } from "./parameter-codes.js"
import { inspectWasm } from "./wasm-check.js"
import { wasm, type WasmModule } from "../control/web-assembly.js"

/** What a worker must know about a kernel. Posted to every worker. */
export interface KernelDefinition {
  readonly id: number
  readonly name: string
  readonly exportName: string
  /** A code of `parameter-codes.ts` for each argument that is no struct, and for each pointer inside structs. */
  readonly codes: readonly number[]
  /** Undefined without structs. */
  readonly structs: StructParameters | undefined
  readonly body: { readonly url: string } | { readonly module: WasmModule }
}

/** The structs of a signature, which a command carries behind the other arguments. */
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
}

/** A WebAssembly module and its bytes. */
export interface CompiledWasm {
  readonly module: WasmModule
  readonly bytes: Uint8Array
}

/** Reads and compiles a WebAssembly kernel without blocking the event loop. @returns undefined if there is none, or it fails */
export async function compileAhead({ module: { host } }: KernelSource): Promise<CompiledWasm | undefined> {
  if (host === undefined || !("wasm" in host)) return undefined
  try {
    const bytes = isTypedArray(host.wasm) ? host.wasm : await readFile(host.wasm)
    return { module: await wasm.compile(bytes), bytes }
  } catch {
    // checkKernel will throw the same error as without prepare.
    return undefined
  }
}

/**
 * Checks everything about a kernel that can be checked without running it.
 *
 * @param reserveCopies reserves memory for the copies of structs in WebAssembly kernels, and returns its address
 * @throws AuxstreamError AUX_KERNEL_UNAVAILABLE without a body for the host, AUX_KERNEL_INVALID if it cannot work
 */
export function checkKernel(
  source: KernelSource,
  id: number,
  compiled?: CompiledWasm,
  reserveCopies = () => 0,
): HostKernel {
  const { host } = source.module
  const { name, export: exportName } = source
  if (host === undefined) {
    throw new AuxstreamError(
      "AUX_KERNEL_UNAVAILABLE",
      `kernel "${name}" has no body for the host device: give defineKernel a \`host\` as well`,
    )
  }
  const { primitives, places, byteLength } = flatten(source.parameters)
  const codes = primitives.map(parameterCode)
  const wordsBeforeStructs = codes.reduce((sum, code) => sum + argumentWords(code), LAUNCH_WORDS)
  const words = wordsBeforeStructs + Math.ceil(byteLength / 4)
  if (words > MAX_COMMAND_WORDS) {
    throw invalid(
      name,
      `the arguments of a launch take ${4 * (words - LAUNCH_WORDS)} bytes, and at most ` +
        `${4 * (MAX_COMMAND_WORDS - LAUNCH_WORDS)} are possible: pass large structs as arrays`,
    )
  }
  if (exportName === "then") {
    throw invalid(
      name,
      'import() treats a module that exports "then" as a promise: export the kernel under another name',
    )
  }
  const body = checkBody(name, exportName, host, compiled)
  const copies = byteLength > 0 && "module" in body ? reserveCopies() : 0
  const structs = byteLength === 0 ? undefined : { places, byteLength, copies }
  return { id, name, exportName, codes, structs, words, wordsBeforeStructs, body }
}

function checkBody(
  name: string,
  exportName: string,
  body: HostModuleBody,
  compiled: CompiledWasm | undefined,
): KernelDefinition["body"] {
  if ("source" in body) return { url: `data:text/javascript;charset=utf-8,${encode(body.source)}` }
  if ("module" in body) return { url: moduleUrl(name, body.module) }
  return { module: checkWasm(name, exportName, compiled ?? compile(name, readWasm(name, body.wasm))) }
}

/**
 * Encodes parentheses and quotes, too, so that the URL can be found in a stack. Also encodes dots, because Bun treats the
 * text behind the last one as a file extension.
 */
function encode(source: string): string {
  return encodeURIComponent(source).replace(/[!'()*.]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
}

function moduleUrl(name: string, module: URL | string): string {
  const text = typeof module === "string" ? module : module.href
  if (text.startsWith("data:")) return text
  const url = fileUrl(text)
  if (url === undefined) {
    throw invalid(
      name,
      `its module ${JSON.stringify(text)} is neither a file: URL nor an absolute path, and auxstream cannot know what ` +
        "it is relative to: write new URL(..., import.meta.url)",
    )
  }
  checkFile(name, url)
  return url.href
}

function fileUrl(text: string): URL | undefined {
  if (text.startsWith("file:") && URL.canParse(text)) return new URL(text)
  return isAbsolute(text) ? pathToFileURL(text) : undefined
}

function checkFile(name: string, url: URL): void {
  const path = filePath(name, url)
  if (!isReadable(name, path)) throw invalid(name, `there is no file ${path}`)
}

/** @returns false if there is no such file. @throws AuxstreamError with the system's own message if it cannot be read */
function isReadable(name: string, path: string): boolean {
  try {
    const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() === true
    if (isFile) accessSync(path, constants.R_OK)
    return isFile
  } catch (error) {
    throw invalid(name, `its file cannot be read: ${error instanceof Error ? error.message : ""}`, error)
  }
}

function filePath(name: string, url: URL): string {
  try {
    return fileURLToPath(url)
  } catch (error) {
    throw invalid(name, `${url.href} does not name a file`, error)
  }
}

function checkWasm(name: string, exportName: string, { module, bytes }: CompiledWasm): WasmModule {
  const exported = wasm.Module.exports(module)
  if (!exported.some((entry) => entry.name === exportName && entry.kind === "function")) {
    const names = exported.map((entry) => JSON.stringify(entry.name)).join(", ")
    throw invalid(name, `its WebAssembly module exports no function "${exportName}", only: ${names || "nothing"}`)
  }
  checkImports(name, module, bytes)
  return module
}

function readWasm(name: string, given: URL | Uint8Array): Uint8Array {
  if (isTypedArray(given)) return given
  if (given.protocol !== "file:") throw invalid(name, `${given.href} is not a file: URL`)
  checkFile(name, given)
  return readFileSync(given)
}

function compile(name: string, bytes: Uint8Array): CompiledWasm {
  try {
    return { module: new wasm.Module(bytes), bytes }
  } catch (error) {
    throw invalid(name, `its WebAssembly module does not compile: ${String(error)}`, error)
  }
}

function checkImports(name: string, module: WasmModule, bytes: Uint8Array): void {
  const wanted = 'auxstream gives it (import "env" "memory" (memory 0 65536 shared)) and nothing else'
  for (const entry of wasm.Module.imports(module)) {
    if (entry.module === "env" && entry.name === "memory" && entry.kind === "memory") continue
    throw invalid(name, `its WebAssembly module imports ${entry.kind} "${entry.module}" "${entry.name}", but ${wanted}`)
  }
  const { memory, dataEnd, hasPassiveData } = inspectWasm(bytes)
  if (memory === undefined) {
    throw invalid(
      name,
      `its WebAssembly module does not import the device's memory, so it cannot access any array: ${wanted} (clang, Rust: ` +
        "link with --import-memory --shared-memory; AssemblyScript: --importMemory --sharedMemory)",
    )
  }
  if (!(memory.shared && memory.maximum === 65536 && memory.minimum <= 16)) {
    const { minimum, maximum, shared } = memory
    throw invalid(
      name,
      `its WebAssembly module imports a ${shared ? "shared" : "private"} memory of ${minimum} to ` +
        `${maximum ?? "unlimited"} pages, but ${wanted}`,
    )
  }
  if (dataEnd > ALIGNMENT) {
    throw invalid(
      name,
      `its WebAssembly module writes data to bytes 0 to ${dataEnd} of the device memory when it is loaded, over other ` +
        `arrays: constants must lie below byte ${ALIGNMENT}, or be arguments`,
    )
  }
  if (hasPassiveData) {
    throw invalid(
      name,
      "its WebAssembly module contains constants that its code would write over other arrays (clang compiles tables to " +
        "such modules): constants must be arguments",
    )
  }
}

function invalid(name: string, reason: string, cause?: unknown): AuxstreamError {
  const message = `kernel "${name}" cannot run on the host device: ${reason}`
  return new AuxstreamError("AUX_KERNEL_INVALID", message, cause === undefined ? undefined : { cause })
}
