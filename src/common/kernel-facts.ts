/** What a loaded kernel needs, and how much of a device it can fill. */

/** What one kernel needs on one device. `undefined` where the device has no such thing. */
export interface KernelAttributes {
  /** 32-bit registers of a thread: `NUM_REGS`. Host: undefined. */
  readonly registers: number | undefined
  /** Bytes of shared memory that the kernel's code declares for each block: `SHARED_SIZE_BYTES`. Host: 0. */
  readonly sharedMemory: number
  /** Bytes of shared memory that a launch may ask for beside that. */
  readonly maxSharedMemory: number
  /** Bytes of local memory of a thread: arrays and registers that spill (`LOCAL_SIZE_BYTES`). Host: 0. */
  readonly localMemory: number
  /** Bytes of constant memory: `CONST_SIZE_BYTES`. Host: undefined. */
  readonly constantMemory: number | undefined
  /** The threads of the largest block that it can be launched with: `MAX_THREADS_PER_BLOCK`. */
  readonly maxThreads: number
}

/** How much of a device one kernel can fill. */
export interface KernelOccupancy {
  /** Blocks that one multiprocessor can run at a time; 0 if it cannot run any. */
  readonly blocksPerMultiprocessor: number
  /** Blocks that the whole device can run at a time: the largest grid of a cooperative launch. */
  readonly blocks: number
  /** The share of a multiprocessor's warps that these blocks fill, from 0 to 1. */
  readonly share: number
}

/** A block size with the greatest occupancy. */
export interface SuggestedBlock {
  /** Threads. */
  readonly block: number
  /** The fewest blocks that fill the device. */
  readonly grid: number
}
