/** The statuses of the CUDA driver that mean something to us; the driver knows the names and texts of all. */

export const SUCCESS = 0
export const INVALID_VALUE = 1
export const OUT_OF_MEMORY = 2
export const NO_DEVICE = 100
export const INVALID_CONTEXT = 201
export const INVALID_HANDLE = 400
export const NOT_FOUND = 500
export const NOT_READY = 600
export const CAPTURED_EVENT = 907

/** After one of these the context is of no use any more: every later call gives the same. */
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

/** Does this status mean that the device is lost? */
export function isSticky(status: number): boolean {
  return STICKY.has(status)
}
