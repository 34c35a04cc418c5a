/**
 * Checks of what queued work does to memory. The runtime calls `describe` directly before it queues a launch outside of
 * captures.
 *
 * Checks must change no order, and no result of work that keeps its declarations. They
 * compare only bytes that no other operation may write at the same time, by the declarations of both. Without checks,
 * queueing and running must cost the same as if there were none.
 */
import type { AccessViolationError } from "../common/errors.js"
import type { StreamHandle } from "./handles.js"

/** Checks of queued work. */
export interface Checks {
  /**
   * The runtime is about to queue a launch, or a launch of a graph.
   *
   * @param reads what it reads besides its arguments
   * @param writes what it writes besides its arguments; for a graph, what its kernels do
   */
  describe(operation: CheckedOperation, reads: readonly ByteRange[], writes: readonly ByteRange[]): void
  /**
   * Keeps a copy of pinned memory as it is now. The stream compares the memory with it before its next operation, and once
   * more when the function that this returns is called. That must be called, after that operation was queued or refused.
   *
   * @throws OutOfMemoryError, having queued nothing
   */
  comparePinned(operation: CheckedOperation, reads: readonly PinnedRead[], stream: StreamHandle): () => void
  /** Passes on the violations that are known by now. */
  collect(): void
  /** Ends the checks of work that is queued later. Work that is already queued is still checked. */
  stop(): void
}

/** What a device checks while work runs, and what it does about violations. */
export interface CheckOptions {
  /** Whether kernels leave unchanged what they only read, and what lies directly beside their arrays. */
  readonly accesses: boolean
  /** Whether kernels write all elements of their `out` arguments. Elements that they do not write keep their contents. */
  readonly unwritten: boolean
  /**
   * Called with each violation, in the event loop or in a call of {@link Checks.collect}. Undefined: the stream of the
   * operation breaks at its place, with the violation as its error.
   */
  readonly report: ((violation: AccessViolationError) => void) | undefined
}

/** An operation, for the errors of its checks. */
export interface CheckedOperation {
  /** The kernel's name, or the kind of operation. */
  readonly label: string
  /** The name of its stream. */
  readonly stream: string
  /** The stack of the call that queues it. */
  readonly stack: string
}

/** Pinned memory that an operation reads and does not write. */
export interface PinnedRead extends ByteRange {
  /** The kernel's argument, if it is one. */
  readonly argument: string | undefined
  /** Where that argument begins. */
  readonly start: number
}

/** A range of bytes of the device's memory. */
export interface ByteRange {
  readonly address: number
  readonly byteLength: number
}
