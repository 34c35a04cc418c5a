import type { MessagePort } from "node:worker_threads"
import type { KernelDefinition } from "./kernels.js"
import type { WasmMemory } from "./web-assembly.js"

/** What a worker is started with. */
export interface WorkerStart {
  readonly control: WasmMemory
  readonly memory: WasmMemory
  readonly port: MessagePort
  /** Its control block. */
  readonly block: number
  /** How many workers may spin at once. */
  readonly spinners: number
}

/** To a worker: a kernel that launches may name from now on, or a request to load one ahead of its first launch. */
export type Order = { readonly define: KernelDefinition } | { readonly load: number }

/** What a kernel threw, or why it could not be loaded, as text: thrown values cannot cross threads as they are. */
export interface Thrown {
  readonly text: string
  readonly stack: string
}

/** From a worker: what broke a stream, or that a kernel has been loaded. Posted before anything shows it. */
export type Report =
  | { readonly kind: "failed"; readonly stream: number; readonly kernel: string; readonly thrown: Thrown }
  | { readonly kind: "waited"; readonly stream: number; readonly cause: number }
  | { readonly kind: "told"; readonly stream: number; readonly failure: number }
  | { readonly kind: "loaded"; readonly kernel: number; readonly thrown: Thrown | undefined }
