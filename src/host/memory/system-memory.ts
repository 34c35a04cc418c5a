import { freemem, totalmem } from "node:os"

/** Bytes of memory that this process may have at most: a container's limit, where there is one. */
export function systemMemory(): number {
  const limit = process.constrainedMemory?.() ?? 0
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

/** Bytes of memory that the system can still give this process. */
export function availableMemory(): number {
  const { availableMemory: available } = process as { readonly availableMemory?: () => number }
  return available?.() ?? freemem()
}
