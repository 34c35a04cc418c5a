/**
 * The part of JavaScript's `WebAssembly` that the host device uses. TypeScript declares it with the DOM only, which a
 * Node.js library has no business to pull in.
 */

import { raiseLimit } from "../../common/show.js"
import { OutOfMemoryError } from "../../common/errors.js"

/** A memory. Shared here always. */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer
  grow(pages: number): number
}

/** A compiled module. Can be posted to another thread. */
export interface WasmModule {
  readonly [wasmModule]?: never
}
declare const wasmModule: unique symbol

/** What a module exports or imports. */
export interface WasmDescriptor {
  readonly name: string
  readonly kind: string
}

/** What a WebAssembly function takes and gives. */
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

/** JavaScript's `WebAssembly`. With --jitless there is none, and no host device: `worker-file.ts` asks. */
export const wasm = (globalThis as typeof globalThis & { readonly WebAssembly: WebAssemblyNamespace }).WebAssembly

/** Pages of 32-bit WebAssembly's largest memory: 4 GiB. Kernels import a memory of just this size. */
export const MAXIMUM_PAGES = 65536

/** A shared memory that can grow to 4 GiB. @throws OutOfMemoryError if the address space for it cannot be had */
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
