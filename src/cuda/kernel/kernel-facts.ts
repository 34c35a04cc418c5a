/** What a loaded kernel needs, and how many of its blocks fit on a multiprocessor. Must not queue anything. */
import type { KernelAttributes, SuggestedBlock } from "../../common/facts/kernel-facts.js"
import { AuxstreamError } from "../../common/errors.js"
import type { CudaContext } from "../api/context.js"
import type { LaunchableKernel, Launcher } from "./launch.js"

const MAX_THREADS_PER_BLOCK = 0
const SHARED_SIZE_BYTES = 1
const CONST_SIZE_BYTES = 2
const LOCAL_SIZE_BYTES = 3
const NUM_REGS = 4

/** The facts of the kernels of one device. */
export class KernelFacts {
  readonly #context: CudaContext
  readonly #launcher: Launcher
  /** The most shared memory, static and dynamic together, that a block may have on this device. */
  readonly #mostSharedMemory: number

  constructor(context: CudaContext, launcher: Launcher, mostSharedMemory: number) {
    this.#context = context
    this.#launcher = launcher
    this.#mostSharedMemory = mostSharedMemory
  }

  /** @throws CudaError */
  attributes(kernel: LaunchableKernel): KernelAttributes {
    const attribute = (which: number): number => this.#attribute(kernel, which)
    const sharedMemory = attribute(SHARED_SIZE_BYTES)
    return {
      registers: attribute(NUM_REGS),
      sharedMemory,
      maxSharedMemory: this.#mostSharedMemory - sharedMemory,
      localMemory: attribute(LOCAL_SIZE_BYTES),
      constantMemory: attribute(CONST_SIZE_BYTES),
      maxThreads: attribute(MAX_THREADS_PER_BLOCK),
    }
  }

  /** @throws CudaError, AuxstreamError AUX_OUT_OF_RANGE for too many threads or too much shared memory */
  blocksPerMultiprocessor(kernel: LaunchableKernel, threads: number, sharedMemory: number): number {
    this.#checkThreads(kernel, threads)
    this.#launcher.allowSharedMemory(kernel, sharedMemory)
    const call = "cuOccupancyMaxActiveBlocksPerMultiprocessor"
    const { out } = this.#context
    const ask = () => this.#context.calls[call](out.address, kernel.function, threads, sharedMemory)
    this.#context.check(this.#context.within(ask), call)
    return out.int(0)
  }

  /** @throws CudaError, AuxstreamError AUX_OUT_OF_RANGE for too much shared memory */
  suggestBlock(kernel: LaunchableKernel, sharedMemory: number, mostThreads: number): SuggestedBlock {
    this.#launcher.allowSharedMemory(kernel, sharedMemory)
    const call = "cuOccupancyMaxPotentialBlockSize"
    const { out } = this.#context
    const ask = () =>
      this.#context.calls[call](out.address, out.address + 8, kernel.function, 0, sharedMemory, mostThreads)
    this.#context.check(this.#context.within(ask), call)
    return { block: out.int(8), grid: out.int(0) }
  }

  /** CUDA ignores a kernel's launch bounds here, although its launch fails (seen on an H200). */
  #checkThreads(kernel: LaunchableKernel, threads: number): void {
    const most = this.#attribute(kernel, MAX_THREADS_PER_BLOCK)
    if (threads <= most) return
    throw new AuxstreamError(
      "AUX_OUT_OF_RANGE",
      `A block of kernel "${kernel.name}" must have at most ${most} threads, because of its registers or launch bounds; got ` +
        `${threads}.`,
    )
  }

  #attribute(kernel: LaunchableKernel, which: number): number {
    const { out } = this.#context
    const ask = () => this.#context.calls.cuFuncGetAttribute(out.address, which, kernel.function)
    this.#context.check(this.#context.within(ask), "cuFuncGetAttribute")
    return out.int(0)
  }
}
