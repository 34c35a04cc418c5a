import { Allocation } from "./allocation.js"
import type { ArrayMemory } from "./used-memory.js"
import type { StreamState } from "../order/stream-state.js"

/**
 * The scratch memory of a stream's library calls: allocated at the first one, kept until the stream is disposed of, and
 * tracked like an array. A graph has its own, one for each of its streams. A device's library always asks for the same size.
 */
export function workspaceOf(stream: StreamState, byteLength: number): ArrayMemory {
  if (stream.capture !== undefined) return stream.capture.workspaceOf(stream, byteLength)
  stream.workspace ??= Allocation.on(stream, byteLength)
  return stream.workspace
}
