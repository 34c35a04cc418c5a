/** A device's kernels, and what a launch of one is given. */
import type { KernelAttributes, SuggestedBlock } from "../common/facts/kernel-facts.js"
import type { LaunchShape } from "../common/facts/launch-shape.js"
import type { KernelHandle, StreamHandle } from "./handles.js"
import type { KernelSource, LoadedGlobal, ModuleSource } from "./modules.js"

/** A device's kernels. */
export interface DriverKernels {
  /**
   * Loads a kernel, and its module if needed. Loading the same source object again gives the same handle. The handle is
   * valid while the module is reachable, so the caller must keep it while a graph contains a launch of the kernel.
   */
  load(source: KernelSource): KernelHandle
  /** Like `load`, without blocking the event loop. */
  prepare(source: KernelSource): Promise<KernelHandle>
  /** Compiles and loads a module and finds its globals, without blocking the event loop. */
  prepareModule(module: ModuleSource): Promise<void>
  /** Loads a module, and compiles it if needed. Gives its globals, in the order of their declarations. */
  loadGlobals(module: ModuleSource): readonly LoadedGlobal[]
  /**
   * Unloads a module, without blocking. Queued work that uses its kernels or globals runs first. No graph may use it, and
   * the module must not be loaded again.
   */
  unloadModule(module: ModuleSource): void
  /**
   * Frees the globals of a module. Every queued use must be over. Absent if they are part of the module's code. Otherwise
   * they stay until this call, even if the module is unreachable.
   */
  freeGlobals?(globals: readonly LoadedGlobal[]): void
  attributes(kernel: KernelHandle): KernelAttributes
  /**
   * How many blocks one multiprocessor can run at a time.
   *
   * @throws AuxstreamError AUX_OUT_OF_RANGE for more threads than the kernel's blocks may have, or too much shared memory
   */
  blocksPerMultiprocessor(kernel: KernelHandle, threads: number, sharedMemory: number): number
  /** A block with the greatest occupancy, of at most `mostThreads`. @throws AuxstreamError AUX_OUT_OF_RANGE */
  suggestBlock(kernel: KernelHandle, sharedMemory: number, mostThreads: number): SuggestedBlock
  /**
   * Queues a launch. The shape and the arguments have been read when the call returns.
   *
   * @returns a handle to drop the launch, if it is droppable and the device supports that
   */
  launch(
    stream: StreamHandle,
    kernel: KernelHandle,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    attributes: LaunchAttributes | undefined,
  ): DroppableLaunch | undefined
}

/** The limits of one launch. The host device has CUDA's limits. */
export interface LaunchLimits {
  readonly threadsPerBlock: number
  readonly block: readonly [x: number, y: number, z: number]
  readonly grid: readonly [x: number, y: number, z: number]
  /** Dynamic shared memory of a block, in bytes. */
  readonly sharedMemory: number
}

/** Launch attributes that few kernels need. */
export interface LaunchAttributes {
  readonly cluster: readonly [x: number, y: number, z: number] | undefined
  readonly cooperative: boolean
  /** Whether the launch can be dropped before it begins. Devices that cannot do that ignore it. */
  readonly droppable?: boolean
  /**
   * The bytes of the structs among the parameters, as `flatten` places them. The driver fills in the pointers, whose arrays
   * are the last arguments, and has copied the bytes when the call returns. Undefined if the signature has no struct.
   */
  readonly structs?: Uint8Array | undefined
}

/**
 * One argument of a launch, already checked against the signature. A driver gets the arguments as `flatten` in
 * `common/struct/flat.ts` takes a signature apart: one for each primitive.
 */
export type KernelArgument = number | bigint | MemoryRange

/** The argument for a pointer parameter: a device array or a pinned array. */
export interface MemoryRange {
  /** The device address. On the host device, the offset from the start of its memory in bytes. */
  readonly address: number
  /** The number of elements. */
  readonly length: number
}

/** A queued launch that may be dropped. */
export interface DroppableLaunch {
  /** Whether the stream has passed it. */
  readonly isOver: boolean
  /** If it has not begun, its stream breaks at its place, as if the kernel had failed. */
  drop(reason: unknown): void
}
