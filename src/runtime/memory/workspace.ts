import { Allocation } from "./allocation.js"
import type { ArrayMemory } from "./used-memory.js"
import type { StreamState } from "../order/stream-state.js"

/** What cuBLAS is advised to have on recent devices, in bytes. Equal on every stream, so that results are, too. */
export const WORKSPACE_BYTES = 32 * 1024 * 1024

/**
 * The scratch memory of a stream's library calls: allocated at the first one, kept until the stream is disposed of, and
 * tracked like an array. A graph has its own, one for each of its streams.
 */
export function workspaceOf(stream: StreamState): ArrayMemory {
  if (stream.capture !== undefined) return stream.capture.workspaceOf(stream, WORKSPACE_BYTES)
  stream.workspace ??= Allocation.on(stream, WORKSPACE_BYTES)
  return stream.workspace
}
