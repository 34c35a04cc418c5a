/**
 * Types for the part of JavaScript's `WebAssembly` that the host device uses. TypeScript declares it only in its DOM
 * library, which would bring hundreds of browser types into this project.
 */

import { raiseLimit } from "../../common/show.js"
import { OutOfMemoryError } from "../../common/errors.js"

/** A memory. The host device uses only shared ones. */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer
  grow(pages: number): number
}

/** A compiled module. It can be posted to another thread. */
export interface WasmModule {
  readonly [wasmModule]?: never
}
declare const wasmModule: unique symbol

/** One export or import of a module. */
export interface WasmDescriptor {
  readonly name: string
  readonly kind: string
}

/** An exported function. */
export type WasmFunction = (...args: (number | bigint)[]) => unknown

interface WebAssemblyNamespace {
  compile(bytes: Uint8Array): Promise<WasmModule>
  readonly Memory: new (options: { initial: number; maximum: number; shared: true }) => WasmMemory
  readonly Module: {
    new (bytes: Uint8Array): WasmModule
    exports(module: WasmModule): WasmDescriptor[]
    imports(module: WasmModule): (WasmDescriptor & { readonly module: string })[]
  }
  readonly Instance: new (
    module: WasmModule,
    imports: { readonly [module: string]: { readonly [name: string]: WasmMemory } },
  ) => { readonly exports: { readonly [name: string]: unknown } }
}

/** JavaScript's `WebAssembly`. It is undefined under --jitless, where there is no host device (see `worker-file.ts`). */
export const wasm = (globalThis as typeof globalThis & { readonly WebAssembly: WebAssemblyNamespace }).WebAssembly

/** Pages of the largest 32-bit memory: 4 GiB. Kernels must import a memory with exactly this maximum. */
export const MAXIMUM_PAGES = 65536

/** A shared memory that can grow to 4 GiB. @throws OutOfMemoryError if the address space cannot be reserved */
export function sharedMemory(initial: number): WasmMemory {
  try {
    return new wasm.Memory({ initial, maximum: MAXIMUM_PAGES, shared: true })
  } catch (error) {
    throw new OutOfMemoryError(
      `The host device could not reserve address space for its memory: ${raiseLimit("virtual memory", "-v")}dispose ` +
        "of other devices.",
      { cause: error },
    )
  }
}
