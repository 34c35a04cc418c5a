/**
 * Frees what closed and abandoned devices have left in a context that other devices still use.
 *
 * CUDA makes some calls only while the context is idle, including other threads' work: unloading kernels, freeing page-locked
 * memory, destroying cuBLAS handles and graphs with conditionals (measured on an H200, driver 580). They must never be made
 * before. So a closed device leaves these resources, and the next thread that opens or closes a device while the context is
 * idle frees them. A device is abandoned if its Worker ended without closing it. Its device memory is freed once its own
 * work is over.
 */
import type { CudaContext } from "./api/context.js"
import { destroyGroups, destroyProducts } from "./products/products.js"
import { ledger } from "./ledger/ledger.js"
import type { Owned } from "./ledger/page.js"
import type { LedgerRecord } from "./ledger/record.js"
import { unmap } from "./memory/mapped-memory.js"
import { isIdle } from "./sharing/neighbours.js"
import { openContexts } from "./sharing/open-contexts.js"
import { SUCCESS } from "./api/status.js"
import { warn } from "../common/warn.js"

let isWatching = false

/** A device has been opened. Frees leftovers now, and whenever a Worker started by this thread ends. */
export function enter(context: CudaContext): void {
  releaseLeftovers(context)
  openContexts.add(context)
  if (isWatching) return
  isWatching = true
  process.on("worker", (worker) => {
    worker.once("exit", () => openContexts.forEach(releaseLeftovers))
  })
}

/** Frees the leftovers that can be freed without waiting. Never throws. */
export function releaseLeftovers(context: CudaContext): void {
  try {
    ledger().locked(() => freeLeftovers(context))
  } catch (error) {
    context.warnOfLeakBy(error instanceof Error ? error : new Error(String(error)))
  }
}

/** A device is closed. Frees its leftovers now or later, and releases its context. */
export function leave(context: CudaContext): void {
  openContexts.delete(context)
  context.holding.close()
  releaseLeftovers(context)
  context.release()
}

function freeLeftovers(context: CudaContext): void {
  const records = ledger().records(context.handle)
  const left = records.filter((record) => !record.isOpen)
  if (left.length === 0) return
  if (context.isLost) {
    // A lost device leaves nothing but the references to its context.
    for (const record of left) end(context, record)
    return
  }
  const abandoned = left.filter((record) => record.isAbandoned)
  for (const record of abandoned) endCaptures(context, record)
  // Asked once for each record: if its work ended between two questions, it would be removed with its memory still there.
  const idle = new Set(records.filter((record) => record.isClosed || isIdle(context, record)))
  for (const record of abandoned) if (idle.has(record)) strip(context, record)
  if (idle.size < records.length) return
  for (const record of left) {
    finish(context, record)
    end(context, record)
  }
}

function end(context: CudaContext, record: LedgerRecord): void {
  if (record.isAbandoned) context.library.calls.cuDevicePrimaryCtxRelease(context.device)
  ledger().remove(record)
}

/** Frees what can be freed without waiting for other devices. The abandoned device's own work must be over. */
function strip(context: CudaContext, record: LedgerRecord): void {
  const { calls, graphCalls } = context
  if (record.owned("adopted").length > 0) return leak(context, record)
  freeMemory(context, record)
  record.take("mapped", (address, byteLength) => unmap(context, address, byteLength))
  release(context, record, "pool", "cuMemPoolDestroy", (pool) => calls.cuMemPoolDestroy(pool))
  for (const kind of ["end", "event"] as const) {
    release(context, record, kind, "cuEventDestroy", (event) => calls.cuEventDestroy(event))
  }
  release(context, record, "graph", "cuGraphDestroy", (graph) => graphCalls.cuGraphDestroy(graph))
  release(context, record, "stream", "cuStreamDestroy", (stream) => calls.cuStreamDestroy(stream))
}

/** Work on adopted streams may still use the device's memory, and those streams can no longer be queried. */
function leak(context: CudaContext, record: LedgerRecord): void {
  for (const kind of ["adopted", "memory", "mapped", "pool", "pinned", "library", "executable"] as const) {
    record.take(kind, () => {})
  }
  warn(
    "AUX_LEAK",
    `${context.label}: a Worker ended without disposing of its device, on which it had adopted streams of other libraries. ` +
      "Its memory stays until the process ends, because work on these streams may still use it. Dispose of a device before its Worker ends.",
  )
}

function endCaptures(context: CudaContext, record: LedgerRecord): void {
  for (const stream of record.owned("stream")) endCapture(context, stream)
}

function endCapture(context: CudaContext, stream: number): void {
  const { calls, out } = context
  if (calls.cuStreamIsCapturing(stream, out.address) !== SUCCESS || out.int(0) === 0) return
  // Only the stream on which a capture began can end it.
  if (context.graphCalls.cuStreamEndCapture(stream, out.address) !== SUCCESS) return
  const graph = out.number(0)
  if (graph !== 0) context.graphCalls.cuGraphDestroy(graph)
}

const NON_BLOCKING = 1

function freeMemory(context: CudaContext, record: LedgerRecord): void {
  if (record.owned("memory").length === 0) return
  const { calls, holding } = context
  const { status, handle: stream } = holding.make("stream", (out) =>
    context.within(() => calls.cuStreamCreateWithPriority(out, NON_BLOCKING, 0)),
  )
  context.check(status, "cuStreamCreateWithPriority")
  release(context, record, "memory", "cuMemFreeAsync", (address) => calls.cuMemFreeAsync(address, stream))
  calls.cuStreamSynchronize(stream) // Nothing but the frees is queued there.
  holding.remove(stream)
  calls.cuStreamDestroy(stream)
}

/** Frees the rest. The context must be idle, so that these calls return at once. */
function finish(context: CudaContext, record: LedgerRecord): void {
  const { calls, graphCalls } = context
  release(context, record, "executable", "cuGraphExecDestroy", (one) => graphCalls.cuGraphExecDestroy(one))
  release(context, record, "library", "cuLibraryUnload", (library) => calls.cuLibraryUnload(library))
  release(context, record, "pinned", "cuMemFreeHost", (address) => context.within(() => calls.cuMemFreeHost(address)))
  record.take("groups", (handle) => destroyGroups(context, handle))
  record.take("products", (handle) => destroyProducts(context, handle))
}

/** Releases the resources of one kind with a driver call. */
function release(
  context: CudaContext,
  record: LedgerRecord,
  kind: Owned,
  call: string,
  native: (handle: number) => number,
): void {
  record.take(kind, (handle) => {
    const status = native(handle)
    if (status !== SUCCESS) context.warnOfLeak(status, call)
  })
}
