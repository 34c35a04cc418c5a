import { Allocation } from "../memory/allocation.js"
import { captureOf } from "./capture.js"
import type { ArrayMemory, Span } from "../memory/used-memory.js"
import type { StreamState } from "../order/stream-state.js"

/** Scratch memory as an operand of an operation. */
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
 * The scratch memory of a stream's library calls: allocated at the first one, kept until the stream is disposed of, and
 * tracked like an array. A graph has its own, one for each of its streams. A device's library always asks for the same size.
 */
export function workspaceOf(stream: StreamState, byteLength: number): Span {
  const capture = captureOf(stream)
  if (capture !== undefined) return new Workspace(capture.workspaceOf(stream, byteLength), byteLength)
  const { workspace } = stream
  if (workspace instanceof Workspace) return workspace
  return (stream.workspace = new Workspace(Allocation.on(stream, byteLength), byteLength))
}
