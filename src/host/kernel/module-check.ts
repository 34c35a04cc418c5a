/** Checks everything about a module's code that can be checked without running it. */
import { readFileSync } from "node:fs"
import { readFile } from "node:fs/promises"
import type { URL } from "node:url"
import type { HostModuleBody } from "../../driver/module-body.js"
import type { ModuleSource } from "../../driver/modules.js"
import { AuxstreamError } from "../../common/errors.js"
import { checkFile, localPath, localUrl } from "../../common/local-file.js"
import { isTypedArray } from "../../common/typed-array.js"
import { ALIGNMENT } from "../../allocator/allocator.js"
import { inspectWasm } from "./wasm-check.js"
import { wasm, type WasmModule } from "../control/web-assembly.js"

/** A module's code, as a worker gets it. */
export type ModuleBody = { readonly url: string } | { readonly module: WasmModule }

/** A global array of a module, as a worker gets it. */
export interface ModuleGlobal {
  readonly name: string
  /** A code of `parameter-codes.ts`. */
  readonly code: number
  readonly address: number
  /** In elements. */
  readonly length: number
}

/** What a worker must know about a module. Posted with each of its kernels. */
export interface ModuleDefinition {
  readonly id: number
  readonly body: ModuleBody
  readonly globals: readonly ModuleGlobal[]
}

/** A WebAssembly module and its bytes. */
export interface CompiledWasm {
  readonly module: WasmModule
  readonly bytes: Uint8Array
}

/** Reads and compiles a WebAssembly module without blocking the event loop. @returns undefined if there is none, or it fails */
export async function compileAhead({ host }: ModuleSource): Promise<CompiledWasm | undefined> {
  if (host === undefined || !("wasm" in host)) return undefined
  try {
    const bytes = isTypedArray(host.wasm) ? host.wasm : await readFile(host.wasm)
    return { module: await wasm.compile(bytes), bytes }
  } catch {
    // checkModule will throw the same error as without prepare.
    return undefined
  }
}

/** @throws AuxstreamError AUX_KERNEL_UNAVAILABLE without a body for the host, AUX_KERNEL_INVALID if it cannot work */
export function checkModule({ host, label, globals }: ModuleSource, compiled?: CompiledWasm): ModuleBody {
  if (host === undefined) {
    throw new AuxstreamError(
      "AUX_KERNEL_UNAVAILABLE",
      `${label} has no code for the host device. Give its definition a \`host\` body.`,
    )
  }
  const body = checkBody(label, host, compiled)
  if ("module" in body) for (const { name } of globals) checkExport(label, body.module, name, "global")
  return body
}

/** Refuses a WebAssembly module that does not export this. */
export function checkExport(label: string, module: WasmModule, name: string, kind: "function" | "global"): void {
  const exported = wasm.Module.exports(module)
  if (exported.some((entry) => entry.name === name && entry.kind === kind)) return
  const names = exported.map((entry) => JSON.stringify(entry.name)).join(", ")
  throw invalid(label, `its WebAssembly module exports no ${kind} "${name}", only: ${names || "nothing"}`)
}

function checkBody(name: string, body: HostModuleBody, compiled: CompiledWasm | undefined): ModuleBody {
  if ("source" in body) return { url: `data:text/javascript;charset=utf-8,${encode(body.source)}` }
  if ("module" in body) return { url: moduleUrl(name, body.module) }
  return { module: checkWasm(name, compiled ?? compile(name, readWasm(name, body.wasm))) }
}

/**
 * Encodes parentheses and quotes, too, so that the URL can be found in a stack. Also encodes dots, because Bun treats the
 * text after the last one as a file extension.
 */
function encode(source: string): string {
  return encodeURIComponent(source).replace(/[!'()*.]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
}

function moduleUrl(name: string, module: URL | string): string {
  const text = typeof module === "string" ? module : module.href
  if (text.startsWith("data:")) return text
  const fault = faultOf(name)
  const url = localUrl(module, "its module", fault)
  checkFile(localPath(url, fault), fault)
  return url.href
}

function faultOf(name: string): (reason: string, cause?: unknown) => AuxstreamError {
  return (reason, cause) => invalid(name, reason, cause)
}

function checkWasm(name: string, { module, bytes }: CompiledWasm): WasmModule {
  checkImports(name, module, bytes)
  return module
}

function readWasm(name: string, given: URL | Uint8Array): Uint8Array {
  if (isTypedArray(given)) return given
  if (given.protocol !== "file:") throw invalid(name, `${given.href} is not a file: URL`)
  const fault = faultOf(name)
  checkFile(localPath(given, fault), fault)
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

export function invalid(name: string, reason: string, cause?: unknown): AuxstreamError {
  const message = `${name} cannot run on the host device: ${reason}`
  return new AuxstreamError("AUX_KERNEL_INVALID", message, cause === undefined ? undefined : { cause })
}
