/** The stable codes of every error that auxstream makes. */
export type ErrorCode =
  | "AUX_INVALID_ARGUMENT"
  | "AUX_OUT_OF_RANGE"
  | "AUX_DTYPE_MISMATCH"
  | "AUX_LENGTH_MISMATCH"
  | "AUX_DEVICE_MISMATCH"
  | "AUX_AMBIGUOUS_DEVICE"
  | "AUX_DEVICE_UNAVAILABLE"
  | "AUX_DEVICE_LOST"
  | "AUX_DISPOSED"
  | "AUX_NOT_READY"
  | "AUX_OUT_OF_MEMORY"
  | "AUX_KERNEL_UNAVAILABLE"
  | "AUX_KERNEL_INVALID"
  | "AUX_KERNEL_FAILED"
  | "AUX_CUDA_FAILED"
  | "AUX_STREAM_CAPTURING"
  | "AUX_NOT_CAPTURING"
  | "AUX_DATA_RACE"

/**
 * The base of every error that auxstream makes.
 *
 * The message names the value, what was allowed and what to do; `code` is stable across versions, so tell errors apart
 * by it.
 *
 * @example
 * try {
 *   device.empty("float32", -1)
 * } catch (error) {
 *   if (error instanceof AuxstreamError && error.code === "AUX_OUT_OF_RANGE") console.error(error.message)
 * }
 */
export class AuxstreamError extends Error {
  /** Which failure this is. */
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  override get name(): string {
    return this.constructor.name
  }
}

/** Something was used after its `dispose()`, or after that of the device that it belongs to. */
export class DisposedError extends AuxstreamError {
  constructor(message: string, options?: ErrorOptions) {
    super("AUX_DISPOSED", message, options)
  }
}

/** The device has no memory left, not even after everything that was waiting to be freed had been freed. */
export class OutOfMemoryError extends AuxstreamError {
  constructor(message: string, options?: ErrorOptions) {
    super("AUX_OUT_OF_MEMORY", message, options)
  }
}

/** The device is gone: a fault in a kernel on CUDA, a worker thread that died on host. `cause` is the first failure. */
export class DeviceLostError extends AuxstreamError {
  constructor(message: string, options?: ErrorOptions) {
    super("AUX_DEVICE_LOST", message, options)
  }
}

/**
 * A kernel on the host device threw. Its stream is broken until it is disposed: what was queued behind the kernel is
 * skipped, and later launches and synchronisations throw this same error. So does every use of an array that should have
 * been written, until a copy or a fill overwrites it whole.
 */
export class KernelError extends AuxstreamError {
  /** The name of the kernel that threw. */
  readonly kernel: string
  /** The stack of what it threw, on its worker thread. */
  readonly kernelStack: string

  constructor(message: string, kernel: string, kernelStack: string, options?: ErrorOptions) {
    super("AUX_KERNEL_FAILED", message, options)
    this.kernel = kernel
    this.kernelStack = kernelStack
  }
}

/** A call of the CUDA driver failed. */
export class CudaError extends AuxstreamError {
  /** The driver's own name of the failure, such as `"CUDA_ERROR_INVALID_VALUE"`. */
  readonly status: string
  /** The driver's function that failed, such as `"cuLaunchKernel"`. */
  readonly call: string

  constructor(message: string, status: string, call: string, options?: ErrorOptions) {
    super("AUX_CUDA_FAILED", message, options)
    this.status = status
    this.call = call
  }
}
