import { isMainThread, type MessagePort, workerData } from "node:worker_threads"
import type { KernelDefinition } from "../kernel/kernel-check.js"
import type { Report } from "../kernel/reports.js"
import type { WasmMemory } from "../control/web-assembly.js"

/** What a worker is started with. */
export interface WorkerStart {
  readonly control: WasmMemory
  readonly memory: WasmMemory
  readonly port: MessagePort
  /**
   * The kernels known so far. They must not come through the port: the worker may run a launch of one before the opening
   * thread, held up by the system, has posted anything.
   */
  readonly definitions: readonly KernelDefinition[]
  /** Its control block. */
  readonly block: number
  /** How many workers may spin at once. */
  readonly spinners: number
}

/** Where a worker finds its start in `workerData`, which kernels can reach. The worker takes it out and leaves the key. */
export const START = "auxstream: host worker"

/** Does this code run in a worker thread of a host device? Two copies of the library know each other's threads, too. */
export function isHostWorker(): boolean {
  const data: unknown = isMainThread ? undefined : workerData
  return typeof data === "object" && data !== null && START in data
}

/** To a worker: a kernel that launches may name from now on, or a request to load one ahead of its first launch. */
export type Order = { readonly define: KernelDefinition } | { readonly load: number }

/** A worker's last words: why it ends, going on from "a worker thread". */
export interface Farewell {
  readonly kind: "left"
  readonly reason: string
}

const KINDS: ReadonlySet<unknown> = new Set(["failed", "dropped", "waited", "told", "loaded", "stray", "left"])

/** Kernels' code may reach a worker's port, and post anything. */
export function isReport(message: unknown): message is Report | Farewell {
  return typeof message === "object" && message !== null && "kind" in message && KINDS.has(message.kind)
}
