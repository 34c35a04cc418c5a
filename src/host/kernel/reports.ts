/** The messages in which workers report about kernels. */
import type { Thrown } from "./thrown.js"

/** Why a stream broke. */
export type FailureReport =
  | { readonly kind: "failed"; readonly stream: number; readonly kernel: string; readonly thrown: Thrown }
  | { readonly kind: "dropped"; readonly stream: number; readonly kernel: string }
  | { readonly kind: "waited"; readonly stream: number; readonly cause: number }
  | { readonly kind: "told"; readonly stream: number; readonly failure: number }

/**
 * Why a stream broke, that a kernel was loaded, or that a kernel's code failed outside any call. A worker posts a report
 * before it marks the stream, so that whoever sees the mark can read the report.
 */
export type Report =
  | FailureReport
  | { readonly kind: "loaded"; readonly kernel: number; readonly thrown: Thrown | undefined }
  | { readonly kind: "stray"; readonly kernel: string; readonly thrown: Thrown }
