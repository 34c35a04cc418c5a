/** Reads `device.properties` from the driver. */
import type { DeviceProperties } from "../../common/facts/device-properties.js"
import type { LaunchLimits } from "../../driver/kernels.js"
import type { CudaContext } from "./context.js"

const MAX_SHARED_MEMORY_PER_BLOCK = 8
const TOTAL_CONSTANT_MEMORY = 9
const WARP_SIZE = 10
const MAX_PITCH = 11
const MAX_REGISTERS_PER_BLOCK = 12
const CLOCK_RATE = 13
const MULTIPROCESSOR_COUNT = 16
const KERNEL_EXEC_TIMEOUT = 17
const INTEGRATED = 18
const CONCURRENT_KERNELS = 31
const ECC_ENABLED = 32
const MEMORY_CLOCK_RATE = 36
const GLOBAL_MEMORY_BUS_WIDTH = 37
const L2_CACHE_SIZE = 38
const MAX_THREADS_PER_MULTIPROCESSOR = 39
const ASYNC_ENGINE_COUNT = 40
const COMPUTE_CAPABILITY_MAJOR = 75
const COMPUTE_CAPABILITY_MINOR = 76
const MAX_SHARED_MEMORY_PER_MULTIPROCESSOR = 81
const MAX_REGISTERS_PER_MULTIPROCESSOR = 82
const COOPERATIVE_LAUNCH = 95
const MAX_BLOCKS_PER_MULTIPROCESSOR = 106
const RESERVED_SHARED_MEMORY_PER_BLOCK = 111
const CLUSTER_LAUNCH = 120

/** Longer than any PCI address. */
const BUS_ID_BYTES = 32
const UUID_BYTES = 16

/** The device's properties, frozen. @throws DeviceLostError, CudaError */
export function readProperties(context: CudaContext, limits: LaunchLimits): DeviceProperties {
  const attribute = (which: number) => readAttribute(context, which)
  const is = (which: number): boolean => attribute(which) !== 0
  const { version } = context.library
  return Object.freeze({
    computeCapability: frozenVersion(attribute(COMPUTE_CAPABILITY_MAJOR), attribute(COMPUTE_CAPABILITY_MINOR)),
    driverVersion: frozenVersion(Math.floor(version / 1000), Math.floor((version % 1000) / 10)),
    ...readIdentity(context),
    multiprocessors: attribute(MULTIPROCESSOR_COUNT),
    warpSize: attribute(WARP_SIZE),
    maxThreadsPerBlock: limits.threadsPerBlock,
    // Copies, because a launch reads the limits, and the engine reads frozen lists slowly.
    maxBlock: Object.freeze<[number, number, number]>([...limits.block]),
    maxGrid: Object.freeze<[number, number, number]>([...limits.grid]),
    maxThreadsPerMultiprocessor: attribute(MAX_THREADS_PER_MULTIPROCESSOR),
    maxBlocksPerMultiprocessor: attribute(MAX_BLOCKS_PER_MULTIPROCESSOR),
    registersPerBlock: attribute(MAX_REGISTERS_PER_BLOCK),
    registersPerMultiprocessor: attribute(MAX_REGISTERS_PER_MULTIPROCESSOR),
    sharedMemoryPerBlock: attribute(MAX_SHARED_MEMORY_PER_BLOCK),
    sharedMemoryPerBlockOptin: limits.sharedMemory,
    sharedMemoryPerMultiprocessor: attribute(MAX_SHARED_MEMORY_PER_MULTIPROCESSOR),
    reservedSharedMemoryPerBlock: attribute(RESERVED_SHARED_MEMORY_PER_BLOCK),
    constantMemory: attribute(TOTAL_CONSTANT_MEMORY),
    l2Cache: attribute(L2_CACHE_SIZE),
    totalMemory: readTotalMemory(context),
    maxPitch: attribute(MAX_PITCH),
    memoryBusWidth: attribute(GLOBAL_MEMORY_BUS_WIDTH),
    memoryClockRate: attribute(MEMORY_CLOCK_RATE),
    clockRate: attribute(CLOCK_RATE),
    asyncEngines: attribute(ASYNC_ENGINE_COUNT),
    concurrentKernels: is(CONCURRENT_KERNELS),
    cooperativeLaunch: is(COOPERATIVE_LAUNCH),
    clusterLaunch: is(CLUSTER_LAUNCH),
    kernelTimeout: is(KERNEL_EXEC_TIMEOUT),
    integrated: is(INTEGRATED),
    ecc: is(ECC_ENABLED),
  })
}

function readAttribute(context: CudaContext, which: number): number {
  const { calls, device, out } = context
  context.check(calls.cuDeviceGetAttribute(out.address, which, device), "cuDeviceGetAttribute")
  return out.int(0)
}

function readTotalMemory(context: CudaContext): number {
  const { calls, device, out } = context
  context.check(calls.cuDeviceTotalMem(out.address, device), "cuDeviceTotalMem")
  return out.number(0)
}

function readIdentity(context: CudaContext): { readonly uuid: string; readonly pciBusId: string } {
  const { calls, device, out } = context
  context.check(calls.cuDeviceGetUuid(out.address, device), "cuDeviceGetUuid")
  const uuid = uuidText(out.bytes.subarray(0, UUID_BYTES))
  context.check(calls.cuDeviceGetPCIBusId(out.address, BUS_ID_BYTES, device), "cuDeviceGetPCIBusId")
  return { uuid, pciBusId: out.text() }
}

function frozenVersion(major: number, minor: number): { readonly major: number; readonly minor: number } {
  return Object.freeze({ major, minor })
}

function uuidText(bytes: Uint8Array): string {
  const digits = Buffer.from(bytes).toString("hex")
  return `GPU-${digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")}`
}
