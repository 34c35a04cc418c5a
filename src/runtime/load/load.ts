/** Reads a part of a file into device memory, in pieces. While one piece is copied, the next one is read. */
import { queueOperation } from "../capture/operation.js"
import type { Span } from "../memory/used-memory.js"
import { OperationType } from "../order/observer/operation.js"
import type { StreamState } from "../order/stream-state.js"
import type { SourceFile } from "./source-file.js"
import { BUFFER_BYTES, type Staging } from "./staging.js"

const upload = new OperationType("upload", "load", ["overwrite", "read"])

/** The file and the target of a load. */
export interface Load {
  readonly file: SourceFile
  /** In bytes. */
  readonly offset: number
  readonly target: Span
  readonly stream: StreamState
  readonly signal: AbortSignal | undefined
  /** Throws if the target was disposed of. */
  readonly check: () => void
}

/**
 * Loads the whole target. When the promise resolves, the bytes have been read, and their copies are queued on the stream.
 *
 * @returns whether any copy was queued. If not, the bytes have been read directly into the target
 * @throws AuxstreamError AUX_FILE_FAILED, AUX_DISPOSED; OutOfMemoryError; the signal's reason; the error that broke the
 * stream
 */
export async function loadContents(load: Load, staging: Staging): Promise<boolean> {
  const { target, stream } = load
  // Keep the memory if it is disposed of meanwhile, because reads may still write to it.
  target.allocation.retain()
  try {
    stream.enter()
    const { memory } = stream.order.driver
    const bytes = memory.bytesNow?.(target.address, target.byteLength, stream.handle)
    if (bytes === undefined) await loadByCopies(load, staging)
    else await loadInPlace(load, bytes)
    return bytes === undefined
  } finally {
    target.allocation.release([])
  }
}

async function loadInPlace(load: Load, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; done += BUFFER_BYTES) {
    await load.file.read(bytes.subarray(done, done + BUFFER_BYTES), load.offset + done)
    load.signal?.throwIfAborted()
    load.check()
  }
}

async function loadByCopies(load: Load, staging: Staging): Promise<void> {
  const { file, offset, target, stream, signal } = load
  for (let done = 0; done < target.byteLength; done += BUFFER_BYTES) {
    const byteLength = Math.min(BUFFER_BYTES, target.byteLength - done)
    const buffer = await staging.acquire(signal)
    try {
      await file.read(buffer.bytes.subarray(0, byteLength), offset + done)
      signal?.throwIfAborted()
      load.check()
      const to = { allocation: target.allocation, address: target.address + done, byteLength }
      const from = { allocation: buffer.allocation, address: buffer.address, byteLength }
      // The memory belongs to this stream, so no observer may choose another.
      queueOperation(stream, upload, [to, from], true, ({ order, handle }) => {
        order.driver.memory.copy(to.address, from.address, byteLength, handle)
      })
    } catch (error) {
      staging.release(buffer)
      throw error
    }
    staging.releaseBehind(buffer, stream)
  }
}
