import { Allocation } from "../memory/allocation.js"
import { captureOf } from "./capture.js"
import type { ArrayMemory, Span } from "../memory/used-memory.js"
import type { StreamState } from "../order/stream-state.js"

/** The library's own memory as an operand of an operation. */
export class Scratch implements Span {
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
 * The workspace for a stream's products. It is allocated at the first call, kept until the stream is
 * disposed of, and tracked like an array. A graph has one for each of its streams. The library of a device always needs the
 * same size.
 */
export function workspaceOf(stream: StreamState, byteLength: number): Span {
  const capture = captureOf(stream)
  if (capture !== undefined) return new Scratch(capture.workspaceOf(stream, byteLength), byteLength)
  const { workspace } = stream
  if (workspace instanceof Scratch) return workspace
  return (stream.workspace = new Scratch(Allocation.on(stream, byteLength), byteLength))
}

/** Memory for one operation on a stream. Dispose of it once the operation is queued. */
export function scratchOn(stream: StreamState, byteLength: number): Scratch {
  const arena = captureOf(stream)?.memory.arena
  const allocation = arena === undefined ? Allocation.on(stream, byteLength) : arena.allocate(stream, byteLength)
  return new Scratch(allocation, byteLength)
}
