import { isMainThread, type MessagePort, workerData } from "node:worker_threads"
import type { KernelDefinition } from "../kernel/kernel-check.js"
import type { Report } from "../kernel/reports.js"
import type { WasmMemory } from "../control/web-assembly.js"

/** What a worker gets when it starts. */
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
  /** Its place among the workers that there are: less than their largest number. */
  readonly place: number
  /** How many workers may spin at once. */
  readonly spinners: number
  /** Whether launches have a time limit, so that it must mark them. */
  readonly marks: boolean
}

/** The key of the worker's start in `workerData`. The worker removes the value, which kernels could reach, and leaves the key. */
export const START = "auxstream: host worker"

/** Whether this code runs in a worker thread of a host device, even of another copy of the library. */
export function isHostWorker(): boolean {
  const data: unknown = isMainThread ? undefined : workerData
  return typeof data === "object" && data !== null && START in data
}

/** To a worker: a kernel that launches may name from now on, or a request to load one ahead of its first launch. */
export type Order = { readonly define: KernelDefinition } | { readonly load: number }

/** A worker's last report: why it ends. The reason continues "a worker thread …". */
export interface Farewell {
  readonly kind: "left"
  readonly reason: string
}

const KINDS: ReadonlySet<unknown> = new Set([
  ...["failed", "dropped", "waited", "told", "violated"],
  ...["loaded", "stray", "posted", "left"],
])

/** Whether a message is a report: a kernel's code may reach a worker's port and post anything. */
export function isReport(message: unknown): message is Report | Farewell {
  return typeof message === "object" && message !== null && "kind" in message && KINDS.has(message.kind)
}
