/** The code of an error. Codes are stable across versions. */
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
  | "AUX_ACCESS_VIOLATION"
  | "AUX_CUDA_FAILED"
  | "AUX_FILE_FAILED"
  | "AUX_STREAM_CAPTURING"
  | "AUX_NOT_CAPTURING"
  | "AUX_DATA_RACE"

/**
 * The base class of all errors of auxstream.
 *
 * The message says what must hold, what was given and what to do. It may change between versions; `code` is stable, so
 * distinguish errors by their code.
 *
 * @example
 * try {
 *   device.empty("float32", -1)
 * } catch (error) {
 *   if (error instanceof AuxstreamError && error.code === "AUX_OUT_OF_RANGE") console.error(error.message)
 * }
 */
export class AuxstreamError extends Error {
  /** The stable code of this failure. */
  readonly code: ErrorCode

  /** @hidden Only the library makes errors. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  /** The name of the class, such as `"KernelError"`. */
  override get name(): string {
    return this.constructor.name
  }
}

/** An object was used after its own `dispose()`, or after its device was disposed of. Code `AUX_DISPOSED`. */
export class DisposedError extends AuxstreamError {
  /** @hidden */
  constructor(message: string, options?: ErrorOptions) {
    super("AUX_DISPOSED", message, options)
  }
}

/** The device has too little memory, even after all pending frees. Code `AUX_OUT_OF_MEMORY`. */
export class OutOfMemoryError extends AuxstreamError {
  /** @hidden */
  constructor(message: string, options?: ErrorOptions) {
    super("AUX_OUT_OF_MEMORY", message, options)
  }
}

/**
 * The device can no longer be used: a kernel faulted on CUDA; or, on the host device, a worker thread died or a kernel ran
 * longer than `launchTimeout`. `cause` is the first failure. Code `AUX_DEVICE_LOST`.
 */
export class DeviceLostError extends AuxstreamError {
  /** @hidden */
  constructor(message: string, options?: ErrorOptions) {
    super("AUX_DEVICE_LOST", message, options)
  }
}

/**
 * A kernel on the host device threw, or its launch was dropped. Code `AUX_KERNEL_FAILED`. Also the `cause` of the
 * {@link DeviceLostError} if a kernel ran longer than `launchTimeout`.
 *
 * The kernel's stream stays broken until it is disposed: work queued after the kernel is skipped, and later launches and
 * synchronisations throw this same error. So does every use of an array that the skipped work should have written, until a
 * copy or a fill overwrites all of it; a launch throws an error that names its argument and has this one as its `cause`.
 */
export class KernelError extends AuxstreamError {
  /** The name of the kernel that failed. */
  readonly kernel: string
  /** The stack of the error on the worker thread; empty if the launch was dropped or ran too long. */
  readonly kernelStack: string

  /** @hidden */
  constructor(message: string, kernel: string, kernelStack: string, options?: ErrorOptions) {
    super("AUX_KERNEL_FAILED", message, options)
    this.kernel = kernel
    this.kernelStack = kernelStack
  }
}

/**
 * What a check found on the host device:
 *
 * - `written`: bytes changed that the kernel only reads, because the parameter is `in` or the array is in `uses.reads`;
 * - `beside`: bytes changed directly before or after the memory of an argument;
 * - `unwritten`: the kernel did not write elements of an `out` argument;
 * - `changed`: pinned memory changed between the call and the end of the operation that reads it.
 */
export type ViolationKind = "written" | "beside" | "unwritten" | "changed"

/** The properties that an {@link AccessViolationError} has besides its message. */
export interface ViolationDetails {
  /** The kind of violation. */
  readonly kind: ViolationKind
  /** The argument, as in {@link AccessViolationError.argument}. */
  readonly argument: string | undefined
  /** The first byte concerned, counted from the beginning of the argument. */
  readonly begin: number
  /** The byte after the last one concerned. */
  readonly end: number
  /** The name of the stream. */
  readonly stream: string
  /** The stack of the call that queued the operation. */
  readonly launchStack: string
}

/**
 * The sanitizer saw memory change, or stay unchanged, against the declarations of an operation that ran on the host device.
 * Code `AUX_ACCESS_VIOLATION`. By default its stream breaks, as after any {@link KernelError}.
 */
export class AccessViolationError extends KernelError {
  override readonly code = "AUX_ACCESS_VIOLATION"
  /** What was found. */
  readonly kind: ViolationKind
  /** The argument: `"2"`, or `"2.table"` in a struct. Undefined for memory that is no argument, such as in `uses`. */
  readonly argument: string | undefined
  /** The first byte concerned, counted from the beginning of the argument. Negative if it lies before the argument. */
  readonly begin: number
  /** The byte after the last one concerned. Some bytes in between may be correct. */
  readonly end: number
  /** The name of the stream that the operation was queued on. */
  readonly stream: string
  /** The stack of the call that queued the operation, or launched its graph; empty if stacks are off. */
  readonly launchStack: string

  /** @hidden */
  constructor(message: string, kernel: string, details: ViolationDetails) {
    super(message, kernel, "")
    this.kind = details.kind
    this.argument = details.argument
    this.begin = details.begin
    this.end = details.end
    this.stream = details.stream
    this.launchStack = details.launchStack
  }
}

/** A call to the CUDA driver or to cuBLAS failed. Code `AUX_CUDA_FAILED`. */
export class CudaError extends AuxstreamError {
  /** The library's name for the failure, such as `"CUDA_ERROR_INVALID_VALUE"`. */
  readonly status: string
  /** The function that failed, such as `"cuLaunchKernelEx"`. */
  readonly call: string

  /** @hidden */
  constructor(message: string, status: string, call: string, options?: ErrorOptions) {
    super("AUX_CUDA_FAILED", message, options)
    this.status = status
    this.call = call
  }
}
