/**
 * Giving back what devices have left in a context that others hold, too.
 *
 * Some calls make CUDA wait for all that runs in the context, other threads' work included: unloading kernels, giving back
 * page-locked memory, destroying cuBLAS' handles and graphs with conditionals (measured on an H200, driver 580). So what a
 * closed device owns of these is left, and given back by whoever opens or closes a device when nothing runs. A device whose
 * Worker ended without closing it is abandoned: its device memory goes as soon as its own work is over.
 */
import type { CudaContext } from "./api/context.js"
import { destroyProducts } from "./toolkit/cublas.js"
import { ledger, type LedgerRecord } from "./api/ledger.js"
import { unmap } from "./memory/mapped-memory.js"
import { isIdle } from "./sharing/neighbours.js"
import { SUCCESS } from "./api/status.js"
import { warn } from "../common/warn.js"

/** The contexts of the devices that this thread has open. */
const open = new Set<CudaContext>()
let isWatching = false

/** A device has been opened: it gives back what others have left, now and whenever a Worker of this thread has ended. */
export function enter(context: CudaContext): void {
  releaseLeftovers(context)
  open.add(context)
  if (isWatching) return
  isWatching = true
  process.on("worker", (worker) => {
    worker.once("exit", () => open.forEach(releaseLeftovers))
  })
}

/** Gives back what can be. Waits for no queued work, and never throws. */
export function releaseLeftovers(context: CudaContext): void {
  try {
    ledger().locked(() => giveBack(context))
  } catch (error) {
    context.warnOfLeakBy(error instanceof Error ? error : new Error(String(error)))
  }
}

/** The device is closed: what it leaves is given back, now or later, and its hold on the context. */
export function leave(context: CudaContext): void {
  open.delete(context)
  context.holding.close()
  releaseLeftovers(context)
  context.release()
}

function giveBack(context: CudaContext): void {
  const records = ledger().records(context.handle)
  const left = records.filter((record) => !record.isOpen)
  if (context.isLost) {
    // Nothing is left of a lost device but the holds on its context.
    for (const record of left) end(context, record)
    return
  }
  for (const record of left) if (record.isAbandoned) strip(context, record)
  if (left.length === 0 || !records.every((record) => record.isClosed || isIdle(context, record))) return
  for (const record of left) {
    finish(context, record)
    end(context, record)
  }
}

function end(context: CudaContext, record: LedgerRecord): void {
  if (record.isAbandoned) context.library.calls.cuDevicePrimaryCtxRelease(context.device)
  ledger().remove(record)
}

/** Gives back what an abandoned device owned alone, once its work is over. */
function strip(context: CudaContext, record: LedgerRecord): void {
  const calls = context.calls
  for (const stream of record.owned("stream")) endCapture(context, stream)
  if (!isIdle(context, record)) return
  if (record.take("adopted").length > 0) return leak(context, record)
  freeMemory(context, record.take("memory"))
  for (const [address, byteLength] of record.takeSized("mapped")) unmap(context, address, byteLength)
  each(context, record.take("pool"), "cuMemPoolDestroy", (pool) => calls.cuMemPoolDestroy(pool))
  const events = [...record.take("end"), ...record.take("event")]
  each(context, events, "cuEventDestroy", (event) => calls.cuEventDestroy(event))
  each(context, record.take("graph"), "cuGraphDestroy", (graph) => context.graphCalls.cuGraphDestroy(graph))
  each(context, record.take("stream"), "cuStreamDestroy", (stream) => calls.cuStreamDestroy(stream))
}

/** Another library's streams may have work that uses its memory, and nobody can ask them any more. */
function leak(context: CudaContext, record: LedgerRecord): void {
  for (const kind of ["memory", "mapped", "pool", "pinned", "library", "executable"] as const) record.take(kind)
  warn(
    "AUX_LEAK",
    `${context.label}: a Worker ended without disposing of its device, on which it had taken in streams of other libraries. ` +
      "Its memory stays until the process ends, as work on these streams may use it: dispose of a device before its Worker ends.",
  )
}

function endCapture(context: CudaContext, stream: number): void {
  const { calls, out } = context
  if (calls.cuStreamIsCapturing(stream, out.address) !== SUCCESS || out.int(0) === 0) return
  // Only the stream that a capture began on can end it.
  if (context.graphCalls.cuStreamEndCapture(stream, out.address) !== SUCCESS) return
  const graph = out.number(0)
  if (graph !== 0) context.graphCalls.cuGraphDestroy(graph)
}

const NON_BLOCKING = 1

function freeMemory(context: CudaContext, addresses: readonly number[]): void {
  if (addresses.length === 0) return
  const { calls, out } = context
  const status = context.within(() => calls.cuStreamCreateWithPriority(out.address, NON_BLOCKING, 0))
  context.check(status, "cuStreamCreateWithPriority")
  const stream = out.number(0)
  each(context, addresses, "cuMemFreeAsync", (address) => calls.cuMemFreeAsync(address, stream))
  calls.cuStreamSynchronize(stream) // Nothing but the frees is queued there.
  calls.cuStreamDestroy(stream)
}

/** Nothing runs in the context: the calls that wait for it return at once. */
function finish(context: CudaContext, record: LedgerRecord): void {
  const { calls } = context
  each(context, record.take("executable"), "cuGraphExecDestroy", (one) => context.graphCalls.cuGraphExecDestroy(one))
  each(context, record.take("library"), "cuLibraryUnload", (library) => calls.cuLibraryUnload(library))
  each(context, record.take("pinned"), "cuMemFreeHost", (address) => context.within(() => calls.cuMemFreeHost(address)))
  for (const handle of record.take("products")) destroyProducts(context, handle)
}

function each(context: CudaContext, handles: readonly number[], call: string, give: (handle: number) => number): void {
  for (const handle of handles) {
    const status = give(handle)
    if (status !== SUCCESS) context.warnOfLeak(status, call)
  }
}
