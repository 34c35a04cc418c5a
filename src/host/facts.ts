/** The properties of the host device and its kernels in CUDA's terms. Each worker thread counts as a multiprocessor. */
import { cpus } from "node:os"
import type { DeviceProperties } from "../common/facts/device-properties.js"
import type { KernelAttributes } from "../common/facts/kernel-facts.js"
import type { LaunchLimits } from "../driver/kernels.js"

/** The device's properties, frozen. */
export function hostProperties(threads: number, limits: LaunchLimits, totalMemory: number): DeviceProperties {
  return Object.freeze({
    computeCapability: undefined,
    driverVersion: undefined,
    uuid: undefined,
    pciBusId: undefined,
    multiprocessors: threads,
    warpSize: 1,
    maxThreadsPerBlock: limits.threadsPerBlock,
    // Copies, because a launch reads the limits, and the engine reads frozen lists slowly.
    maxBlock: Object.freeze<[number, number, number]>([...limits.block]),
    maxGrid: Object.freeze<[number, number, number]>([...limits.grid]),
    maxThreadsPerMultiprocessor: limits.threadsPerBlock,
    maxBlocksPerMultiprocessor: 1,
    registersPerBlock: undefined,
    registersPerMultiprocessor: undefined,
    sharedMemoryPerBlock: limits.sharedMemory,
    sharedMemoryPerBlockOptin: limits.sharedMemory,
    sharedMemoryPerMultiprocessor: undefined,
    reservedSharedMemoryPerBlock: 0,
    constantMemory: undefined,
    l2Cache: undefined,
    totalMemory,
    maxPitch: totalMemory,
    memoryBusWidth: undefined,
    memoryClockRate: undefined,
    clockRate: clockRate(),
    asyncEngines: 0,
    concurrentKernels: threads > 1,
    cooperativeLaunch: true,
    clusterLaunch: true,
    kernelTimeout: false,
    integrated: true,
    ecc: undefined,
  })
}

/** The clock in kHz. Some systems report 0. */
function clockRate(): number | undefined {
  const megahertz = cpus()[0]?.speed ?? 0
  return megahertz > 0 ? megahertz * 1000 : undefined
}

/** The resources of every host kernel. JavaScript and WebAssembly have no registers and declare no shared memory. */
export function hostKernelAttributes(limits: LaunchLimits): KernelAttributes {
  return {
    registers: undefined,
    sharedMemory: 0,
    maxSharedMemory: limits.sharedMemory,
    localMemory: 0,
    constantMemory: undefined,
    maxThreads: limits.threadsPerBlock,
  }
}
