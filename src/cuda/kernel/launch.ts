/**
 * Queues kernel launches. The driver has read the arguments when the call returns. A launch without structs must never
 * allocate, because this is the hottest path of the library.
 */
import type { StreamHandle } from "../../driver/handles.js"
import type { KernelArgument, LaunchAttributes } from "../../driver/kernels.js"
import type { LaunchShape } from "../../common/facts/launch-shape.js"
import { AuxstreamError } from "../../common/errors.js"
import { CMemory } from "../native/c-memory.js"
import type { CudaContext } from "../api/context.js"
import { ArgumentBlock } from "./argument-block.js"
import { SUCCESS } from "../api/status.js"

/** The shared memory of a block, static and dynamic together, that every kernel may use without setting an attribute. */
const DEFAULT_SHARED_MEMORY = 48 * 1024
/** Larger clusters run on some devices only and need an attribute. */
const PORTABLE_CLUSTER = 8

const MAX_DYNAMIC_SHARED_SIZE_BYTES = 8
const NON_PORTABLE_CLUSTER_SIZE_ALLOWED = 13

const CONFIG_BYTES = 56
const ATTRIBUTE_BYTES = 72
const COOPERATIVE = 2
const CLUSTER_DIMENSION = 4

/** A kernel that is loaded into the device's context. */
export interface LaunchableKernel {
  readonly name: string
  /** The driver's handle. */
  readonly function: number
  /** Bytes of shared memory that the kernel's code declares for each block. */
  readonly staticSharedMemory: number
  /** How each argument is written: see `argument-encoding.ts`. */
  readonly encodings: Uint8Array
  /** Where its arguments are written if it takes structs. Otherwise all kernels share a block. */
  readonly block: ArgumentBlock | undefined
}

/** The launches of one device. */
export class Launcher {
  readonly #context: CudaContext
  /** The most shared memory, static and dynamic together, that a block may have on this device. */
  readonly #mostSharedMemory: number
  readonly #config = new CMemory(CONFIG_BYTES + 2 * ATTRIBUTE_BYTES)
  #block = ArgumentBlock.ofMany(64)
  /** The dynamic shared memory allowed so far, for kernels that need more than the default. */
  readonly #sharedMemory = new WeakMap<LaunchableKernel, number>()
  readonly #largeClusters = new WeakSet<LaunchableKernel>()

  constructor(context: CudaContext, mostSharedMemory: number) {
    this.#context = context
    this.#mostSharedMemory = mostSharedMemory
    this.#config.setNumber(40, this.#config.address + CONFIG_BYTES)
  }

  /** Makes room for the arguments of a kernel. */
  reserve({ block, encodings: { length } }: LaunchableKernel): void {
    if (block !== undefined || length <= this.#block.capacity) return
    this.#block = ArgumentBlock.ofMany(2 ** Math.ceil(Math.log2(length)))
  }

  /** Queues a launch. @throws CudaError */
  launch(
    stream: StreamHandle,
    kernel: LaunchableKernel,
    shape: LaunchShape,
    args: readonly KernelArgument[],
    attributes: LaunchAttributes | undefined,
  ): void {
    const { sharedMemory } = shape
    const pointers = this.writeArguments(kernel, args, attributes?.structs)
    if (sharedMemory + kernel.staticSharedMemory > DEFAULT_SHARED_MEMORY) this.#raiseSharedMemory(kernel, sharedMemory)
    this.#configure(shape, stream, attributes === undefined ? 0 : this.#setAttributes(kernel, attributes))
    // Takes 4 numbers, where cuLaunchKernel takes 11, which koffi converts one by one.
    const config = this.#config.address
    const status = this.#context.calls.cuLaunchKernelEx(config, kernel.function, pointers, 0)
    if (status !== SUCCESS) this.#context.retry(status, "cuLaunchKernelEx", config, kernel.function, pointers, 0)
  }

  /** Writes a launch's arguments. @returns the address of their pointers, valid until the next launch */
  writeArguments(kernel: LaunchableKernel, args: readonly KernelArgument[], structs: Uint8Array | undefined): number {
    const block = kernel.block ?? this.#block
    block.write(kernel.encodings, args)
    if (structs !== undefined) block.writeStructs(structs)
    return block.pointers
  }

  /** Allows launches with this much dynamic shared memory. @throws AuxstreamError AUX_OUT_OF_RANGE if it is too much */
  allowSharedMemory(kernel: LaunchableKernel, byteLength: number): void {
    if (byteLength + kernel.staticSharedMemory > DEFAULT_SHARED_MEMORY) this.#raiseSharedMemory(kernel, byteLength)
  }

  #raiseSharedMemory(kernel: LaunchableKernel, byteLength: number): void {
    if (byteLength <= (this.#sharedMemory.get(kernel) ?? 0)) return
    this.#checkSharedMemory(kernel, byteLength)
    this.#setAttribute(kernel, MAX_DYNAMIC_SHARED_SIZE_BYTES, byteLength)
    this.#sharedMemory.set(kernel, byteLength)
  }

  #checkSharedMemory({ name, staticSharedMemory }: LaunchableKernel, byteLength: number): void {
    const most = this.#mostSharedMemory - staticSharedMemory
    if (byteLength <= most) return
    throw new AuxstreamError(
      "AUX_OUT_OF_RANGE",
      `\`sharedMemory\` of kernel "${name}" must be at most ${most} bytes; got ${byteLength}. The kernel's code declares ` +
        `${staticSharedMemory} bytes itself, and a block has ${this.#mostSharedMemory} bytes on ${this.#context.label}.`,
    )
  }

  #allowLargeClusters(kernel: LaunchableKernel): void {
    if (this.#largeClusters.has(kernel)) return
    this.#setAttribute(kernel, NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)
    this.#largeClusters.add(kernel)
  }

  #setAttribute(kernel: LaunchableKernel, attribute: number, value: number): void {
    const status = this.#context.calls.cuFuncSetAttribute(kernel.function, attribute, value)
    if (status !== SUCCESS) this.#context.retry(status, "cuFuncSetAttribute", kernel.function, attribute, value)
  }

  #configure(shape: LaunchShape, stream: StreamHandle, attributes: number): void {
    const config = this.#config
    config.setInt(0, shape.gridX)
    config.setInt(4, shape.gridY)
    config.setInt(8, shape.gridZ)
    config.setInt(12, shape.blockX)
    config.setInt(16, shape.blockY)
    config.setInt(20, shape.blockZ)
    config.setInt(24, shape.sharedMemory)
    config.setNumber(32, stream)
    config.setInt(48, attributes)
  }

  /** @returns how many there are */
  #setAttributes(kernel: LaunchableKernel, { cluster, cooperative }: LaunchAttributes): number {
    let count = 0
    if (cooperative) this.#setLaunchAttribute(count++, COOPERATIVE, [1])
    if (cluster !== undefined) {
      if (cluster[0] * cluster[1] * cluster[2] > PORTABLE_CLUSTER) this.#allowLargeClusters(kernel)
      this.#setLaunchAttribute(count++, CLUSTER_DIMENSION, cluster)
    }
    return count
  }

  #setLaunchAttribute(index: number, id: number, value: readonly number[]): void {
    const offset = CONFIG_BYTES + index * ATTRIBUTE_BYTES
    this.#config.setInt(offset, id)
    value.forEach((word, position) => this.#config.setInt(offset + 8 + position * 4, word))
  }
}
