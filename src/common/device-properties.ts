/** What a device is: facts that do not change while it is open. Drivers read them; nothing here computes. */

/** A version, such as 9.0. */
export interface Version {
  readonly major: number
  readonly minor: number
}

/**
 * The properties of a device. `undefined` where the device has no such thing, or does not tell.
 *
 * On CUDA each is the device attribute named in its comment (`cuDeviceGetAttribute`). The host device has values of its own:
 * a worker thread stands for a multiprocessor, and a launch runs on one of them, a block at a time.
 */
export interface DeviceProperties {
  /** `COMPUTE_CAPABILITY_MAJOR` and `…_MINOR`. Host: undefined. */
  readonly computeCapability: Version | undefined
  /** The newest CUDA version that the driver supports (`cuDriverGetVersion`). Host: undefined. */
  readonly driverVersion: Version | undefined
  /** `"GPU-"` and 16 bytes in hexadecimal digits, as nvidia-smi prints it (`cuDeviceGetUuid`). Host: undefined. */
  readonly uuid: string | undefined
  /** `"0000:65:00.0"`: domain, bus, device and function (`cuDeviceGetPCIBusId`). Host: undefined. */
  readonly pciBusId: string | undefined

  /** `MULTIPROCESSOR_COUNT`. Host: its worker threads. */
  readonly multiprocessors: number
  /** Threads that run in lockstep: `WARP_SIZE`. Host: 1. */
  readonly warpSize: number
  /** `MAX_THREADS_PER_BLOCK`. */
  readonly maxThreadsPerBlock: number
  /** The largest block in each direction: `MAX_BLOCK_DIM_X`, `…_Y` and `…_Z`. */
  readonly maxBlock: readonly [x: number, y: number, z: number]
  /** The largest grid in each direction, in blocks: `MAX_GRID_DIM_X`, `…_Y` and `…_Z`. */
  readonly maxGrid: readonly [x: number, y: number, z: number]
  /** `MAX_THREADS_PER_MULTIPROCESSOR`. Host: the threads of one block. */
  readonly maxThreadsPerMultiprocessor: number
  /** `MAX_BLOCKS_PER_MULTIPROCESSOR`. Host: 1. */
  readonly maxBlocksPerMultiprocessor: number
  /** 32-bit registers: `MAX_REGISTERS_PER_BLOCK`. Host: undefined. */
  readonly registersPerBlock: number | undefined
  /** 32-bit registers: `MAX_REGISTERS_PER_MULTIPROCESSOR`. Host: undefined. */
  readonly registersPerMultiprocessor: number | undefined

  /** Bytes of shared memory that every kernel may use: `MAX_SHARED_MEMORY_PER_BLOCK`. */
  readonly sharedMemoryPerBlock: number
  /**
   * Bytes of shared memory that a kernel may use at most: `MAX_SHARED_MEMORY_PER_BLOCK_OPTIN`. CUDA gives more than
   * `sharedMemoryPerBlock` only to kernels that ask for it; a launch does that by itself.
   */
  readonly sharedMemoryPerBlockOptin: number
  /** Bytes: `MAX_SHARED_MEMORY_PER_MULTIPROCESSOR`. Host: undefined. */
  readonly sharedMemoryPerMultiprocessor: number | undefined
  /** Bytes of shared memory that CUDA itself takes in each block: `RESERVED_SHARED_MEMORY_PER_BLOCK`. Host: 0. */
  readonly reservedSharedMemoryPerBlock: number
  /** Bytes of constant memory: `TOTAL_CONSTANT_MEMORY`. Host: undefined. */
  readonly constantMemory: number | undefined
  /** Bytes of the second-level cache: `L2_CACHE_SIZE`. Host: undefined. */
  readonly l2Cache: number | undefined
  /** Bytes of device memory: `cuDeviceTotalMem`. Host: the most that its memory can grow to. */
  readonly totalMemory: number
  /** The most bytes from one row of a copy to the next: `MAX_PITCH`. Host: its `totalMemory`. */
  readonly maxPitch: number
  /** Bits: `GLOBAL_MEMORY_BUS_WIDTH`. Host: undefined. */
  readonly memoryBusWidth: number | undefined
  /** The largest memory clock, in kHz: `MEMORY_CLOCK_RATE`. Host: undefined. */
  readonly memoryClockRate: number | undefined
  /** The largest clock of the multiprocessors, in kHz: `CLOCK_RATE`. Host: that of the first core, if the system tells. */
  readonly clockRate: number | undefined

  /** Engines that copy while kernels run: `ASYNC_ENGINE_COUNT`. Host: 0, as worker threads copy. */
  readonly asyncEngines: number
  /** Whether kernels can run at the same time: `CONCURRENT_KERNELS`. Host: with more than one worker thread. */
  readonly concurrentKernels: boolean
  /** Whether launches may be cooperative: `COOPERATIVE_LAUNCH`. Host: true. */
  readonly cooperativeLaunch: boolean
  /** Whether launches may have clusters: `CLUSTER_LAUNCH`. Host: true. */
  readonly clusterLaunch: boolean
  /** Whether the system ends kernels that run for long: `KERNEL_EXEC_TIMEOUT`. Host: false. */
  readonly kernelTimeout: boolean
  /** Whether device memory is the host's: `INTEGRATED`. Host: true. */
  readonly integrated: boolean
  /** Whether the memory corrects errors: `ECC_ENABLED`. Host: undefined. */
  readonly ecc: boolean | undefined
}
