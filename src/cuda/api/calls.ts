/**
 * Every CUDA driver function that we call: its name, the symbol that the headers of CUDA 12 and 13 give that name, and the
 * types of its parameters. An out-parameter is an address. A function that is not in every supported driver must never be in
 * `DRIVER_CALLS`.
 */
import type { Bound, Signature } from "../native/ffi.js"

const handle = "uintptr_t"
const address = "uintptr_t"
const out = "uintptr_t"
const bytes = "size_t"
const int = "int"
const uint = "uint32_t"

/** The calls that check whether the driver is new enough for the others. */
export const BASIC_CALLS = {
  cuInit: ["cuInit", uint],
  cuDriverGetVersion: ["cuDriverGetVersion", out],
  cuGetErrorName: ["cuGetErrorName", int, out],
  cuGetErrorString: ["cuGetErrorString", int, out],
} as const satisfies Record<string, Signature>

/** Calls that every driver for CUDA 12.0 or later has. */
export const DRIVER_CALLS = {
  cuDeviceGetCount: ["cuDeviceGetCount", out],
  cuDeviceGet: ["cuDeviceGet", out, int],
  cuDeviceGetName: ["cuDeviceGetName", out, int, int],
  cuDeviceGetAttribute: ["cuDeviceGetAttribute", out, int, int],
  cuDeviceTotalMem: ["cuDeviceTotalMem_v2", out, int],
  cuDeviceGetUuid: ["cuDeviceGetUuid_v2", out, int],
  cuDeviceGetPCIBusId: ["cuDeviceGetPCIBusId", out, int, int],

  cuDevicePrimaryCtxGetState: ["cuDevicePrimaryCtxGetState", int, out, out],
  cuDevicePrimaryCtxRetain: ["cuDevicePrimaryCtxRetain", out, int],
  cuDevicePrimaryCtxRelease: ["cuDevicePrimaryCtxRelease_v2", int],
  cuCtxGetCurrent: ["cuCtxGetCurrent", out],
  cuCtxPushCurrent: ["cuCtxPushCurrent_v2", handle],
  cuCtxPopCurrent: ["cuCtxPopCurrent_v2", out],
  cuCtxGetLimit: ["cuCtxGetLimit", out, int],
  cuCtxSetLimit: ["cuCtxSetLimit", int, bytes],
  cuCtxGetStreamPriorityRange: ["cuCtxGetStreamPriorityRange", out, out],

  cuThreadExchangeStreamCaptureMode: ["cuThreadExchangeStreamCaptureMode", address],

  cuStreamCreateWithPriority: ["cuStreamCreateWithPriority", out, uint, int],
  cuStreamDestroy: ["cuStreamDestroy_v2", handle],
  cuStreamGetCtx: ["cuStreamGetCtx", handle, out],
  cuStreamGetPriority: ["cuStreamGetPriority", handle, out],
  cuStreamIsCapturing: ["cuStreamIsCapturing", handle, out],
  cuStreamQuery: ["cuStreamQuery", handle],
  cuStreamSynchronize: ["cuStreamSynchronize", handle],
  cuStreamWaitEvent: ["cuStreamWaitEvent", handle, handle, uint],

  cuEventCreate: ["cuEventCreate", out, uint],
  cuEventDestroy: ["cuEventDestroy_v2", handle],
  cuEventRecord: ["cuEventRecord", handle, handle],
  cuEventQuery: ["cuEventQuery", handle],
  cuEventSynchronize: ["cuEventSynchronize", handle],
  // Not _v2, as in the newest header: drivers before 12.8 lack it, and the result is the same.
  cuEventElapsedTime: ["cuEventElapsedTime", out, handle, handle],

  cuMemGetInfo: ["cuMemGetInfo_v2", out, out],
  cuMemPoolCreate: ["cuMemPoolCreate", out, address],
  cuMemPoolDestroy: ["cuMemPoolDestroy", handle],
  cuMemPoolSetAttribute: ["cuMemPoolSetAttribute", handle, int, address],
  cuMemPoolGetAttribute: ["cuMemPoolGetAttribute", handle, int, out],
  cuMemPoolTrimTo: ["cuMemPoolTrimTo", handle, bytes],
  cuMemAllocFromPoolAsync: ["cuMemAllocFromPoolAsync", out, bytes, handle, handle],
  cuMemFreeAsync: ["cuMemFreeAsync", address, handle],
  cuMemHostAlloc: ["cuMemHostAlloc", out, bytes, uint],
  cuMemFreeHost: ["cuMemFreeHost", address],
  cuMemGetAllocationGranularity: ["cuMemGetAllocationGranularity", out, address, int],
  cuMemCreate: ["cuMemCreate", out, bytes, address, bytes],
  cuMemRelease: ["cuMemRelease", handle],
  cuMemAddressReserve: ["cuMemAddressReserve", out, bytes, bytes, address, bytes],
  cuMemAddressFree: ["cuMemAddressFree", address, bytes],
  cuMemMap: ["cuMemMap", address, bytes, bytes, handle, bytes],
  cuMemUnmap: ["cuMemUnmap", address, bytes],
  cuMemSetAccess: ["cuMemSetAccess", address, bytes, address, bytes],
  cuMemcpyAsync: ["cuMemcpyAsync", address, address, bytes, handle],
  cuMemcpy2DAsync: ["cuMemcpy2DAsync_v2", address, handle],
  cuMemsetD8Async: ["cuMemsetD8Async", address, "uint8_t", bytes, handle],
  cuMemsetD16Async: ["cuMemsetD16Async", address, "uint16_t", bytes, handle],
  cuMemsetD32Async: ["cuMemsetD32Async", address, uint, bytes, handle],
  cuMemsetD2D8Async: ["cuMemsetD2D8Async", address, bytes, "uint8_t", bytes, bytes, handle],
  cuMemsetD2D16Async: ["cuMemsetD2D16Async", address, bytes, "uint16_t", bytes, bytes, handle],
  cuMemsetD2D32Async: ["cuMemsetD2D32Async", address, bytes, uint, bytes, bytes, handle],

  cuModuleGetLoadingMode: ["cuModuleGetLoadingMode", out],
  cuLibraryLoadData: ["cuLibraryLoadData", out, address, address, address, uint, address, address, uint],
  cuLibraryUnload: ["cuLibraryUnload", handle],
  cuLibraryGetKernel: ["cuLibraryGetKernel", out, handle, "str"],
  cuLibraryGetGlobal: ["cuLibraryGetGlobal", out, out, handle, "str"],
  cuKernelGetFunction: ["cuKernelGetFunction", out, handle],
  cuKernelGetAttribute: ["cuKernelGetAttribute", out, int, handle, int],
  cuFuncGetAttribute: ["cuFuncGetAttribute", out, int, handle],
  cuFuncSetAttribute: ["cuFuncSetAttribute", handle, int, int],
  cuOccupancyMaxActiveBlocksPerMultiprocessor: ["cuOccupancyMaxActiveBlocksPerMultiprocessor", out, handle, int, bytes],
  cuOccupancyMaxPotentialBlockSize: ["cuOccupancyMaxPotentialBlockSize", out, out, handle, address, bytes, int],
  cuLaunchKernelEx: ["cuLaunchKernelEx", address, handle, address, address],
} as const satisfies Record<string, Signature>

/** Newer than CUDA 12.0: undefined where the driver does not have them. */
export const NEWER_CALLS = {
  /** 12.4 */
  cuKernelGetParamInfo: ["cuKernelGetParamInfo", handle, bytes, out, out],
  /** 12.4 */
  cuFuncLoad: ["cuFuncLoad", handle],
  /** 12.4 */
  cuLibraryGetKernelCount: ["cuLibraryGetKernelCount", out, handle],
  /** 12.4 */
  cuLibraryEnumerateKernels: ["cuLibraryEnumerateKernels", out, uint, handle],
  /** 12.3 */
  cuKernelGetName: ["cuKernelGetName", out, handle],
  /** 12.3 */
  cuGraphGetEdgesWithData: ["cuGraphGetEdges_v2", handle, address, address, address, out],
} as const satisfies Record<string, Signature>

export type BasicCalls = Bound<typeof BASIC_CALLS>
export type DriverCalls = Bound<typeof DRIVER_CALLS>
export type NewerCalls = Partial<Bound<typeof NEWER_CALLS>>
/** The name of a call in {@link DRIVER_CALLS}. */
export type CallName = keyof typeof DRIVER_CALLS
