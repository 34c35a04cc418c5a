/**
 * Local memory: what a kernel's threads have beside registers, for arrays of their own, spilled registers and calls. A
 * context has room for so many bytes of it in every thread that the device can run. Enlarging that makes CUDA wait for all
 * that runs, and CUDA does it at the first launch that needs more: so it is done here, when nothing runs.
 */
import { OutOfMemoryError } from "../../common/errors.js"
import type { CudaContext } from "../api/context.js"
import { OUT_OF_MEMORY } from "../api/status.js"

const STACK_SIZE = 0

/** Bytes of each thread that there is room for. @throws DeviceLostError, CudaError */
export function roomForLocalMemory(context: CudaContext): number {
  const { calls, out } = context
  context.check(
    context.within(() => calls.cuCtxGetLimit(out.address, STACK_SIZE)),
    "cuCtxGetLimit",
  )
  return out.number(0)
}

/**
 * Makes room for so many bytes in every thread. Nothing runs on the device.
 *
 * @param who what needs it, as an error begins
 * @throws OutOfMemoryError, DeviceLostError, CudaError
 */
export function reserveLocalMemory(context: CudaContext, byteLength: number, who: string): void {
  if (byteLength <= roomForLocalMemory(context)) return
  const { calls } = context
  const status = context.room.for(() => context.within(() => calls.cuCtxSetLimit(STACK_SIZE, byteLength)))
  if (status === OUT_OF_MEMORY) {
    throw new OutOfMemoryError(
      `${who} needs ${byteLength} bytes of local memory for each thread, and ${context.label} has no memory for as many ` +
        "threads as it can run. Dispose of arrays that are not needed, or have each thread use less.",
    )
  }
  context.check(status, "cuCtxSetLimit")
}
