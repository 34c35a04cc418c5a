/** What workers report of kernels. */
import type { Thrown } from "./thrown.js"

/** From a worker: what broke a stream. */
export type FailureReport =
  | { readonly kind: "failed"; readonly stream: number; readonly kernel: string; readonly thrown: Thrown }
  | { readonly kind: "dropped"; readonly stream: number; readonly kernel: string }
  | { readonly kind: "waited"; readonly stream: number; readonly cause: number }
  | { readonly kind: "told"; readonly stream: number; readonly failure: number }

/**
 * From a worker: what broke a stream, that a kernel has been loaded, or that kernels' code failed outside of every call.
 * Posted before anything shows it.
 */
export type Report =
  | FailureReport
  | { readonly kind: "loaded"; readonly kernel: number; readonly thrown: Thrown | undefined }
  | { readonly kind: "stray"; readonly kernel: string; readonly thrown: Thrown }
