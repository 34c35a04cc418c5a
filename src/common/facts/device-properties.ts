/** The hardware and the limits of a device, which never change while it is open. Only types: drivers provide the values. */

/** A version, such as 9.0. */
export interface Version {
  /** The number before the point. */
  readonly major: number
  /** The number after the point. */
  readonly minor: number
}

/**
 * The properties of a device. A value is undefined if it does not apply to the device, or if the device does not report
 * it.
 *
 * On CUDA, each value is the device attribute named in its comment (`cuDeviceGetAttribute`). The host device counts each
 * worker thread as a multiprocessor, which runs one block at a time.
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
   * The most bytes of shared memory that a kernel may use: `MAX_SHARED_MEMORY_PER_BLOCK_OPTIN`. CUDA allows more than
   * `sharedMemoryPerBlock` only to kernels that request it; the library does that at the launch.
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
  /** Bytes of device memory: `cuDeviceTotalMem`. Host: the largest size that its memory can have. */
  readonly totalMemory: number
  /** The largest pitch of a copy of rows, in bytes: `MAX_PITCH`. Host: its `totalMemory`. */
  readonly maxPitch: number
  /** Bits: `GLOBAL_MEMORY_BUS_WIDTH`. Host: undefined. */
  readonly memoryBusWidth: number | undefined
  /** The largest memory clock, in kHz: `MEMORY_CLOCK_RATE`. Host: undefined. */
  readonly memoryClockRate: number | undefined
  /**
   * The largest clock of the multiprocessors, in kHz: `CLOCK_RATE`. Host: the clock of the first core, if the system
   * reports it.
   */
  readonly clockRate: number | undefined

  /** Engines that copy while kernels run: `ASYNC_ENGINE_COUNT`. Host: 0, because worker threads copy. */
  readonly asyncEngines: number
  /** Whether kernels can run at the same time: `CONCURRENT_KERNELS`. Host: true if it has several worker threads. */
  readonly concurrentKernels: boolean
  /** Whether launches may be cooperative: `COOPERATIVE_LAUNCH`. Host: true. */
  readonly cooperativeLaunch: boolean
  /** Whether launches may have clusters: `CLUSTER_LAUNCH`. Host: true. */
  readonly clusterLaunch: boolean
  /** Whether the system ends kernels that run for long: `KERNEL_EXEC_TIMEOUT`. Host: false. */
  readonly kernelTimeout: boolean
  /** Whether device memory is host memory: `INTEGRATED`. Host: true. */
  readonly integrated: boolean
  /** Whether the memory corrects bit errors: `ECC_ENABLED`. Host: undefined. */
  readonly ecc: boolean | undefined
}
