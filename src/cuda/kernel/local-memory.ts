/**
 * Room for local memory: a thread's arrays, spilled registers and call frames. The context reserves the same number of bytes
 * for every thread that the device can run. CUDA raises that number only while the device is idle, by default at the first
 * launch that needs it. A launch must never wait for that, so the number is raised here, while the device is idle.
 */
import { OutOfMemoryError } from "../../common/errors.js"
import type { CudaContext } from "../api/context.js"
import { OUT_OF_MEMORY } from "../api/status.js"

const STACK_SIZE = 0

/** The bytes reserved for each thread. @throws DeviceLostError, CudaError */
export function roomForLocalMemory(context: CudaContext): number {
  const { calls, out } = context
  context.check(
    context.within(() => calls.cuCtxGetLimit(out.address, STACK_SIZE)),
    "cuCtxGetLimit",
  )
  return out.number(0)
}

/**
 * Reserves `byteLength` bytes for every thread. The device must be idle.
 *
 * @param subject the subject of the error's sentence
 * @throws OutOfMemoryError, DeviceLostError, CudaError
 */
export function reserveLocalMemory(context: CudaContext, byteLength: number, subject: string): void {
  if (byteLength <= roomForLocalMemory(context)) return
  const { calls } = context
  const status = context.room.for(() => context.within(() => calls.cuCtxSetLimit(STACK_SIZE, byteLength)))
  if (status === OUT_OF_MEMORY) {
    throw new OutOfMemoryError(
      `${subject} needs ${byteLength} bytes of local memory for each thread, and ${context.label} does not have enough memory for all ` +
        "threads that it can run. Dispose of arrays that are not needed, or use less local memory in each thread.",
    )
  }
  context.check(status, "cuCtxSetLimit")
}
