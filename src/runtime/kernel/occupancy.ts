/** Computes how much of a device a kernel can fill. Checks the options of `kernel.occupancy` and `kernel.suggestBlock`. */
import { checkInteger, checkOptions, mustBe } from "../../common/check.js"
import type { KernelOccupancy, SuggestedBlock } from "../../common/facts/kernel-facts.js"
import type { KernelHandle } from "../../driver/handles.js"
import type { Device } from "../device/device.js"
import { checkDimensions, checkThreads, type Dimensions, threadsOf } from "./launch-shape.js"

/** Options of `kernel.occupancy`. */
export interface OccupancyOptions {
  /** The number of threads in a block: x, or `[x, y, z]`. */
  readonly block: Dimensions
  /** Bytes of dynamic shared memory per block. Default: 0. */
  readonly sharedMemory?: number | undefined
}

/** Options of `kernel.suggestBlock`. */
export interface SuggestBlockOptions {
  /** Bytes of dynamic shared memory per block, independent of the block's size. Default: 0. */
  readonly sharedMemory?: number | undefined
  /** The largest number of threads in a block. Default: the kernel's own limit. */
  readonly maxThreads?: number | undefined
}

const occupancyOptions: ReadonlySet<string> = new Set<keyof OccupancyOptions>(["block", "sharedMemory"])
const suggestOptions: ReadonlySet<string> = new Set<keyof SuggestBlockOptions>(["sharedMemory", "maxThreads"])

/** `load` returns the kernel's handle. It is called after the options have been checked. */
export function occupancy(device: Device, load: () => KernelHandle, options: OccupancyOptions): KernelOccupancy {
  if (typeof options !== "object" || options === null) throw mustBe("options", "an object such as { block }", options)
  checkOptions(options, "options", occupancyOptions)
  const { block, sharedMemory = 0 } = options
  const { driver } = device
  checkDimensions(block, "block", driver.limits.block)
  const threads = threadsOf(block)
  checkThreads(threads, driver.limits)
  checkInteger(sharedMemory, "sharedMemory", 0, driver.limits.sharedMemory)
  const blocksPerMultiprocessor = driver.kernels.blocksPerMultiprocessor(load(), threads, sharedMemory)
  const { multiprocessors, warpSize, maxThreadsPerMultiprocessor } = driver.properties
  const warps = blocksPerMultiprocessor * Math.ceil(threads / warpSize)
  return {
    blocksPerMultiprocessor,
    blocks: blocksPerMultiprocessor * multiprocessors,
    share: warps / (maxThreadsPerMultiprocessor / warpSize),
  }
}

/** `load` returns the kernel's handle. It is called after the options have been checked. */
export function suggestBlock(device: Device, load: () => KernelHandle, options: SuggestBlockOptions): SuggestedBlock {
  checkOptions(options, "options", suggestOptions)
  const { limits } = device.driver
  const { sharedMemory = 0, maxThreads = limits.threadsPerBlock } = options
  checkInteger(sharedMemory, "sharedMemory", 0, limits.sharedMemory)
  checkInteger(maxThreads, "maxThreads", 1, limits.threadsPerBlock)
  return device.driver.kernels.suggestBlock(load(), sharedMemory, maxThreads)
}
