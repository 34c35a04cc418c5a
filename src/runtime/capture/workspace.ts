import { Allocation } from "../memory/allocation.js"
import { captureOf } from "./capture.js"
import type { ArrayMemory } from "../memory/used-memory.js"
import type { StreamState } from "../order/stream-state.js"

/**
 * The scratch memory of a stream's library calls: allocated at the first one, kept until the stream is disposed of, and
 * tracked like an array. A graph has its own, one for each of its streams. A device's library always asks for the same size.
 */
export function workspaceOf(stream: StreamState, byteLength: number): ArrayMemory {
  const capture = captureOf(stream)
  if (capture !== undefined) return capture.workspaceOf(stream, byteLength)
  const workspace = stream.workspace instanceof Allocation ? stream.workspace : Allocation.on(stream, byteLength)
  stream.workspace = workspace
  return workspace
}
