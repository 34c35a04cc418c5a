import { Allocation } from "../memory/allocation.js"
import { captureOf } from "./capture.js"
import type { ArrayMemory, Span } from "../memory/used-memory.js"
import type { StreamState } from "../order/stream-state.js"

/** A workspace as an operand of an operation. */
class Workspace implements Span {
  readonly allocation: ArrayMemory
  readonly address: number
  readonly byteLength: number

  constructor(allocation: ArrayMemory, byteLength: number) {
    this.allocation = allocation
    this.address = allocation.address
    this.byteLength = byteLength
  }

  dispose(): void {
    this.allocation.dispose()
  }
}

/**
 * The workspace for a stream's library calls (cuBLASLt). It is allocated at the first call, kept until the stream is
 * disposed of, and tracked like an array. A graph has one for each of its streams. The library of a device always needs the
 * same size.
 */
export function workspaceOf(stream: StreamState, byteLength: number): Span {
  const capture = captureOf(stream)
  if (capture !== undefined) return new Workspace(capture.workspaceOf(stream, byteLength), byteLength)
  const { workspace } = stream
  if (workspace instanceof Workspace) return workspace
  return (stream.workspace = new Workspace(Allocation.on(stream, byteLength), byteLength))
}
