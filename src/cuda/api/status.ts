/** The CUDA driver's statuses that we handle. The driver itself gives the name and text of each. */

export const SUCCESS = 0
export const INVALID_VALUE = 1
export const OUT_OF_MEMORY = 2
export const NO_DEVICE = 100
export const INVALID_CONTEXT = 201
export const INVALID_HANDLE = 400
export const NOT_FOUND = 500
export const NOT_READY = 600
export const CAPTURED_EVENT = 907

/** After one of these, the context is unusable: every later call returns the same status. */
const STICKY = new Set([
  4, // DEINITIALIZED
  214, // ECC_UNCORRECTABLE
  220, // NVLINK_UNCORRECTABLE
  226, // CONTAINED
  700, // ILLEGAL_ADDRESS
  702, // LAUNCH_TIMEOUT
  709, // CONTEXT_IS_DESTROYED
  710, // ASSERT
  714, // HARDWARE_STACK_ERROR
  715, // ILLEGAL_INSTRUCTION
  716, // MISALIGNED_ADDRESS
  717, // INVALID_ADDRESS_SPACE
  718, // INVALID_PC
  719, // LAUNCH_FAILED
  721, // TENSOR_MEMORY_LEAK
  806, // MPS_RPC_FAILURE
  810, // MPS_CLIENT_TERMINATED
  911, // EXTERNAL_DEVICE
])

/** Whether this status means that the device is lost. */
export function isSticky(status: number): boolean {
  return STICKY.has(status)
}
