/** The messages in which workers report about kernels. */
import type { Thrown } from "./thrown.js"
import type { Violation } from "./violations.js"

/** Why a stream broke. */
export type FailureReport =
  | { readonly kind: "failed"; readonly stream: number; readonly kernel: string; readonly thrown: Thrown }
  | { readonly kind: "dropped"; readonly stream: number; readonly kernel: string }
  | { readonly kind: "waited"; readonly stream: number; readonly cause: number }
  | { readonly kind: "told"; readonly stream: number; readonly failure: number }

/**
 * A kernel was loaded, a kernel's code failed outside any call, or the worker's port has a report that the event loop must
 * pass on.
 */
export type Announcement =
  | { readonly kind: "loaded"; readonly kernel: number; readonly thrown: Thrown | undefined }
  | { readonly kind: "stray"; readonly kernel: string; readonly thrown: Thrown }
  | { readonly kind: "posted" }

/** A check has found something that breaks no stream. */
export interface ViolationReport {
  readonly kind: "violated"
  readonly kernel: string
  readonly violation: Violation
}

/** A worker posts why a stream broke before it marks the stream, so that code that sees the mark can read the report. */
export type Report = FailureReport | ViolationReport | Announcement
