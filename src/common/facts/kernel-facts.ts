/** The resources of a loaded kernel, and its occupancy. */

/** The resources that a kernel needs on a device. A value is undefined if it does not apply to the device. */
export interface KernelAttributes {
  /** 32-bit registers of a thread: `NUM_REGS`. Host: undefined. */
  readonly registers: number | undefined
  /** Bytes of shared memory that the kernel's code declares for each block: `SHARED_SIZE_BYTES`. Host: 0. */
  readonly sharedMemory: number
  /** The most bytes of dynamic shared memory that a launch may request in addition. */
  readonly maxSharedMemory: number
  /** Bytes of local memory of a thread: arrays and registers that spill (`LOCAL_SIZE_BYTES`). Host: 0. */
  readonly localMemory: number
  /** Bytes of constant memory: `CONST_SIZE_BYTES`. Host: undefined. */
  readonly constantMemory: number | undefined
  /** The number of threads of the largest block that the kernel can be launched with: `MAX_THREADS_PER_BLOCK`. */
  readonly maxThreads: number
}

/** How much of a device a kernel can fill. */
export interface KernelOccupancy {
  /** The number of blocks that one multiprocessor can run at a time; 0 if it cannot run any. */
  readonly blocksPerMultiprocessor: number
  /** The number of blocks that the whole device can run at a time, which is the largest grid of a cooperative launch. */
  readonly blocks: number
  /** The share of a multiprocessor's warps that these blocks fill, from 0 to 1. */
  readonly share: number
}

/** A block size with the greatest occupancy. */
export interface SuggestedBlock {
  /** The number of threads in a block. */
  readonly block: number
  /** The smallest number of such blocks that fills the device. */
  readonly grid: number
}
