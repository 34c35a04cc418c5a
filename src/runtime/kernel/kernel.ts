import { type FlatPrimitive, flatten, type FlatSignature } from "../../common/struct/flat.js"
import { parameterText } from "../../common/struct/text.js"
import type { KernelHandle, KernelSource, LaunchAttributes } from "../../driver.js"
import type { KernelAttributes, KernelOccupancy, SuggestedBlock } from "../../common/facts/kernel-facts.js"
import { captureOf } from "../capture/capture.js"
import type { NodeArguments } from "../capture/node-changes.js"
import { accept, accessesOf, begin, prepare, refuse } from "../capture/operation.js"
import { Device } from "../device/device.js"
import { DeviceArray } from "../device/device-array.js"
import { checkBoolean, checkNames, mustBe } from "../../common/check.js"
import { checkLaunchSignal, dropOnAbort } from "./dropping.js"
import type { DType } from "../../common/dtype/dtype.js"
import { checkScalar, elementsOf, type ElementType, isNumberIn } from "../../common/dtype/elements.js"
import { AuxstreamError } from "../../common/errors.js"
import {
  checkDefinition,
  checkKernelName,
  cudaBody,
  type CudaKernelBody,
  exportName,
  hostBody,
  type HostKernelBody,
  kernelNames,
  withoutCode,
} from "./kernel-body.js"
import { checkShape, type Dimensions, launchAttributes, sizeOf, width } from "./launch-shape.js"
import { occupancy, type OccupancyOptions, suggestBlock, type SuggestBlockOptions } from "./occupancy.js"
import { PinnedArray } from "../device/pinned-array.js"
import type { Arguments, Labelled, Parameter } from "./parameter-types.js"
import { ModuleState } from "./module-state.js"
import { parseSignature } from "./signature.js"
import { StructWriter } from "./struct-arguments.js"
import type { IndirectUses } from "../memory/indirect-uses.js"
import { currentDevice, currentStream } from "../device/current.js"
import { type ExternalUses, indirectUses, Stream } from "../device/stream.js"
import { type Operation, OperationType } from "../order/operation.js"
import type { StreamState } from "../order/stream-state.js"
import { showCall } from "../order/observers.js"

/** The definition of a kernel, for {@link defineKernel}. */
export interface KernelDefinition<S extends readonly Parameter[]> {
  /** An identifier: the symbol of the CUDA code (`extern "C"`) and, by default, the export of the host code. */
  readonly name: string
  /** The parameters in order, such as `["int32", "float32", "in float32*", "inout float32*"]`. */
  readonly signature: S
  /** The code for CUDA: CUDA C++ in a file or as a text, PTX, a cubin, or a fatbin. */
  readonly cuda?: CudaKernelBody | undefined
  /**
   * The code for the host device: a JavaScript module's text or URL, or a WebAssembly module. One call runs the whole
   * launch.
   */
  readonly host?: HostKernelBody | undefined
  /**
   * Whether the kernel leaves elements of its `out` arguments unwritten on purpose. Then the sanitizer's check `unwritten`
   * leaves them alone. Default: false.
   */
  readonly partialOutputs?: boolean | undefined
  /**
   * Whether the kernel needs the whole device: for example, because its blocks wait for each other, or because it is as
   * large as the GPU. Then {@link autoParallel} never runs anything beside it, and no measured decision does. Default: false.
   */
  readonly resident?: boolean | undefined
}

/** Options of {@link Kernel.launch}. */
export interface LaunchOptions {
  /** The number of blocks: x, or `[x, y, z]`. */
  readonly grid: Dimensions
  /** The number of threads in a block: x, or `[x, y, z]`; at most 1024 in all. */
  readonly block: Dimensions
  /** Bytes of dynamic shared memory per block. Default: 0. */
  readonly sharedMemory?: number | undefined
  /** The number of blocks in a cluster, on GPUs with clusters: at most 16, on some 8. The grid must be a multiple of it. */
  readonly cluster?: Dimensions | undefined
  /** Whether the blocks may wait for each other (a cooperative launch). Default: false. */
  readonly cooperative?: boolean | undefined
  /** Default: the current stream of the arguments' device. */
  readonly stream?: Stream | undefined
  /** Arrays that the kernel uses through its own pointers instead of its arguments. */
  readonly uses?: ExternalUses | undefined
  /**
   * If the signal has aborted before the call, the launch throws its reason. On host, a signal that aborts before the
   * kernel begins drops the launch: its stream breaks, as if the kernel had failed, so later work of that stream is
   * skipped. A kernel that has begun runs to its end. CUDA cannot take back queued work, so there a later abort does
   * nothing.
   */
  readonly signal?: AbortSignal | undefined
}

const launchOptions: ReadonlySet<string> = new Set([
  ...(["grid", "block", "sharedMemory", "cluster", "cooperative"] satisfies (keyof LaunchOptions)[]),
  ...(["stream", "uses", "signal"] satisfies (keyof LaunchOptions)[]),
])

/** Spelled out, because every launch calls it and a set takes several times as long. */
function isLaunchOption(name: string): boolean {
  switch (name) {
    case "grid":
    case "block":
    case "stream":
    case "sharedMemory":
    case "uses":
    case "cluster":
    case "cooperative":
    case "signal":
      return true
    default:
      return false
  }
}

function checkLaunchNames(options: object): void {
  for (const name in options) if (!isLaunchOption(name)) checkNames(options, "options", launchOptions)
}

const modeOf = { in: "read", out: "write", inout: "readwrite" } as const

function launchType(kernel: string, primitives: readonly FlatPrimitive[], isResident: boolean): OperationType {
  const modes = primitives.map(({ access }) => access && modeOf[access])
  const paths = primitives.map(({ path }) => path)
  return new OperationType("launch", kernel, modes, paths, isResident)
}

/** An argument that has been checked against its parameter. */
type CheckedArgument = number | bigint | DeviceArray | PinnedArray

/**
 * A kernel: a function that runs on a device. Defined once, for all devices, by {@link defineKernel}. Each device compiles
 * and loads it at its first launch there, or before that by {@link prepare}. CUDA: `CUfunction`.
 */
export class Kernel<S extends readonly Parameter[] = readonly Parameter[]> {
  /** The name of its definition. */
  readonly name: string
  /** The signature of its definition. */
  readonly signature: S
  /** Whether its definition says that it needs the whole device. */
  readonly resident: boolean
  readonly #source: KernelSource
  readonly #flat: FlatSignature
  /** Writes structs. A launch removes it while it is in use, and puts it back once it is queued. */
  #writer: StructWriter | undefined
  /** The type of each flat argument that is a scalar; undefined for an array. */
  readonly #scalars: readonly (ElementType<DType> | undefined)[]
  readonly #type: OperationType
  /** The index of the first flat argument that is an array; 0 if there is none. */
  readonly #firstArray: number
  readonly #module: ModuleState
  readonly #hasGlobals: boolean
  /** The index at which every device keeps this kernel's handle. */
  readonly #place: number

  /** @internal */
  constructor(source: KernelSource, signature: S, module: ModuleState, resident: boolean) {
    this.name = source.name
    this.signature = signature
    this.resident = resident
    this.#source = source
    this.#module = module
    this.#place = module.add(source)
    this.#hasGlobals = module.hasGlobals
    this.#flat = flatten(source.parameters)
    const { primitives } = this.#flat
    this.#type = launchType(source.name, primitives, resident)
    this.#firstArray = Math.max(
      0,
      this.#type.modes.findIndex((mode) => mode !== undefined),
    )
    this.#scalars = primitives.map(({ dtype, access }) => (access === undefined ? elementsOf(dtype) : undefined))
  }

  /** @internal The signature as text, for messages. */
  get signatureText(): string {
    return this.#source.parameters.map(parameterText).join(", ")
  }

  /**
   * Compiles and loads the kernel before its first launch, without blocking the event loop.
   *
   * @param device the device on which it will run
   * @throws (as a rejection) AuxstreamError AUX_KERNEL_INVALID with the compiler's log, AUX_KERNEL_UNAVAILABLE if the
   * definition has no code for the device, AUX_INVALID_ARGUMENT, AUX_DISPOSED
   * @example
   * await saxpy.prepare(device)
   */
  async prepare(device: Device): Promise<void> {
    this.#checkDevice(device)
    // Not skipped if the kernel is loaded already: on host, a launch loads it before the workers have found it valid.
    const handle = await showCall("prepare", () => device.driver.kernels.prepare(this.#source))
    this.#module.checkLoaded(device)
    await this.#module.prepare(device)
    device.kernels[this.#place] = handle
  }

  #checkDevice(device: unknown): asserts device is Device {
    if (!(device instanceof Device)) {
      throw mustBe("device", "a Device", device, "Open one with openDevice()")
    }
    device.checkUsable()
    this.#checkAvailable(device)
  }

  /**
   * The resources that the kernel needs: registers, shared memory, local memory. Loads the kernel if necessary. CUDA:
   * `cuFuncGetAttribute`.
   *
   * @param device the device on which it will run
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_KERNEL_UNAVAILABLE, AUX_KERNEL_INVALID, AUX_DISPOSED
   */
  attributes(device: Device): KernelAttributes {
    this.#checkDevice(device)
    return device.driver.kernels.attributes(this.load(device))
  }

  /**
   * The number of blocks of this size that the device can run at a time, and the share of its warps that they fill. Loads
   * the kernel if necessary. CUDA: `cuOccupancyMaxActiveBlocksPerMultiprocessor`.
   *
   * @param device the device on which it will run
   * @param options the block size and the shared memory
   * @throws AuxstreamError AUX_OUT_OF_RANGE if a launch could not have this block or shared memory either;
   * AUX_INVALID_ARGUMENT, AUX_KERNEL_UNAVAILABLE, AUX_KERNEL_INVALID, AUX_DISPOSED
   * @example
   * const { blocks } = kernel.occupancy(device, { block: 256 })
   * kernel.launch({ grid: blocks, block: 256, cooperative: true }, x)
   */
  occupancy(device: Device, options: OccupancyOptions): KernelOccupancy {
    this.#checkDevice(device)
    return occupancy(device, () => this.load(device), options)
  }

  /**
   * The block size with the greatest occupancy, and the smallest grid that fills the device with such blocks. Loads the
   * kernel if necessary. CUDA: `cuOccupancyMaxPotentialBlockSize`.
   *
   * @param device the device on which it will run
   * @param options the shared memory, and a largest block
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_KERNEL_UNAVAILABLE, AUX_KERNEL_INVALID,
   * AUX_DISPOSED
   * @example
   * const { block } = kernel.suggestBlock(device)
   * kernel.launch({ grid: Math.ceil(n / block), block }, n, x)
   */
  suggestBlock(device: Device, options: SuggestBlockOptions = {}): SuggestedBlock {
    this.#checkDevice(device)
    return suggestBlock(device, () => this.load(device), options)
  }

  /**
   * Checks the options and arguments, then queues a launch. CUDA: `cuLaunchKernelEx`.
   *
   * @param options grid, block, and what else the launch needs
   * @param args one for each parameter of the signature: a number or bigint for a scalar, an array of the device for a
   * pointer, an object for a struct. Structs are read before the call returns.
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE, AUX_DTYPE_MISMATCH, AUX_DEVICE_MISMATCH,
   * AUX_LENGTH_MISMATCH, AUX_KERNEL_UNAVAILABLE, AUX_KERNEL_INVALID, AUX_STREAM_CAPTURING, AUX_DISPOSED; on a broken stream
   * the error that broke it
   * @example
   * saxpy.launch({ grid: Math.ceil(n / 256), block: 256 }, n, 2, x, y)
   */
  launch(options: LaunchOptions, ...args: Arguments<S>): void
  launch(options: LaunchOptions, ...given: unknown[]): void {
    if (typeof options !== "object" || options === null) {
      throw mustBe("options", "an object such as { grid, block }", options)
    }
    checkLaunchNames(options)
    this.#checkCount(given)
    const writer = this.#flat.byteLength === 0 ? undefined : this.#acquireWriter()
    const args = writer === undefined ? given : writer.take(given)
    const stream = this.#streamFor(options.stream, args)
    const { device } = stream
    this.#checkArguments(args, device)
    const { grid, block, sharedMemory = 0, signal, uses } = options
    checkShape(grid, block, sharedMemory, device.driver.limits)
    if (signal !== undefined) checkLaunchSignal(signal, stream.state)
    const attributes = launchAttributes(options, grid, signal !== undefined, writer?.bytes)
    const indirect = uses === undefined && !this.#hasGlobals ? undefined : this.#indirectUses(uses, device)
    const handle = this.load(device)
    const operation = begin(stream.state, this.#type, args, indirect, options.stream !== undefined)
    const state = operation === undefined ? stream.state : operation.stream
    this.#queue(state, operation, handle, grid, block, sharedMemory, args, attributes, indirect, signal)
    if (writer !== undefined) this.#writer = writer
    if (operation !== undefined) captureOf(state)?.noteKernel(this, this.#module.on(device).memory)
  }

  /** What follows the checks. Apart from them, so that the engine compiles all of it as one function. */
  #queue(
    state: StreamState,
    operation: Operation | undefined,
    handle: KernelHandle,
    grid: Dimensions,
    block: Dimensions,
    sharedMemory: number,
    args: CheckedArgument[],
    attributes: LaunchAttributes | undefined,
    indirect: IndirectUses | undefined,
    signal: AbortSignal | undefined,
  ): void {
    try {
      prepare(state, this.#type, args)
      if (indirect !== undefined) prepare(state, indirect, indirect.spans)
      const launch = state.order.driver.kernels.launch(
        state.handle,
        handle,
        width(grid),
        sizeOf(grid, 1),
        sizeOf(grid, 2),
        width(block),
        sizeOf(block, 1),
        sizeOf(block, 2),
        sharedMemory,
        args,
        attributes,
      )
      if (launch !== undefined && signal !== undefined) dropOnAbort(signal, launch)
    } catch (error) {
      throw refuse(operation, error)
    }
    accept(state, this.#type, args, indirect, operation)
  }

  /** What the launch uses beside its arguments. A module's globals are known once it is loaded. */
  #indirectUses(uses: ExternalUses | undefined, device: Device): IndirectUses | undefined {
    if (!this.#hasGlobals) return uses === undefined ? undefined : indirectUses(uses, device)
    this.load(device)
    return this.#module.usesOf(device, uses)
  }

  /** @internal Checks other arguments for a node of a graph. */
  nodeArguments(device: Device, given: readonly unknown[]): NodeArguments {
    this.#checkCount(given)
    const writer = this.#flat.byteLength === 0 ? undefined : new StructWriter(this.name, this.#flat)
    const operands = writer === undefined ? [...given] : writer.take(given)
    this.#checkArguments(operands, device)
    const accesses = accessesOf(this.#type, operands, undefined)
    return { kernel: this.load(device), operands, structs: writer?.bytes, accesses }
  }

  /**
   * The kernel's writer, or a new one if it is in use: reading a struct may run the caller's code, which may launch this
   * kernel.
   */
  #acquireWriter(): StructWriter {
    const writer = this.#writer ?? new StructWriter(this.name, this.#flat)
    this.#writer = undefined
    return writer
  }

  #streamFor(stream: unknown, args: readonly unknown[]): Stream {
    if (stream instanceof Stream) return stream
    if (stream !== undefined) {
      throw mustBe("stream", "a Stream or undefined", stream)
    }
    const array = args[this.#firstArray]
    return currentStream(isArray(array) ? array.device : deviceFor(args))
  }

  #checkCount(args: readonly unknown[]): void {
    const { parameters } = this.#source
    if (args.length !== parameters.length) throw this.#wrongCount(args.length)
  }

  #wrongCount(count: number): AuxstreamError {
    const { length } = this.#source.parameters
    return new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `Kernel "${this.name}" must have ${length} arguments (${this.signatureText}); got ${count}`,
    )
  }

  /** Checks the flat arguments. Scalars inside structs have been checked before. */
  #checkArguments(args: unknown[], device: Device): asserts args is CheckedArgument[] {
    const { primitives } = this.#flat
    for (let index = 0; index < primitives.length; index++) {
      const primitive = primitives[index]
      if (primitive === undefined) continue
      const scalar = this.#scalars[index]
      if (scalar === undefined) this.#checkArray(args[index], primitive, device)
      else if (!isNumberIn(scalar.numbers, args[index]) && scalar.refuses(args[index]) !== undefined) {
        checkScalar(primitive.dtype, args[index], this.#argument(primitive.path))
      }
    }
  }

  #argument(path: string): string {
    return `Argument ${path} of kernel "${this.name}"`
  }

  #checkArray(argument: unknown, primitive: FlatPrimitive, device: Device): void {
    if (!isArray(argument)) throw this.#notAnArray(argument, primitive)
    argument.checkUsable()
    if (argument.dtype !== primitive.dtype || argument.device !== device) {
      throw this.#refusedArray(argument, primitive, device)
    }
  }

  #notAnArray(argument: unknown, primitive: FlatPrimitive): Error {
    const allowed = `a DeviceArray or a PinnedArray ("${parameterText(primitive)}")`
    return mustBe(this.#argument(primitive.path), allowed, argument, "Make one with device.from()")
  }

  #refusedArray(array: DeviceArray | PinnedArray, primitive: FlatPrimitive, device: Device): Error {
    const argument = this.#argument(primitive.path)
    const { dtype } = primitive
    return array.dtype === dtype
      ? new AuxstreamError(
          "AUX_DEVICE_MISMATCH",
          `${argument} must be on the device of the launch, ${device.id}; got an array on ${array.device.id}`,
        )
      : new AuxstreamError(
          "AUX_DTYPE_MISMATCH",
          `${argument} must be an array of ${dtype} ("${parameterText(primitive)}"); got one of ${array.dtype}`,
        )
  }

  /** @internal The kernel's handle on the device. Loads the kernel if necessary. */
  load(device: Device): KernelHandle {
    return device.kernels[this.#place] ?? this.#loadAnew(device)
  }

  #loadAnew(device: Device): KernelHandle {
    device.checkUsable()
    this.#checkAvailable(device)
    this.#module.on(device)
    device.order.loads += 1
    const handle = showCall("load", () => device.driver.kernels.load(this.#source))
    device.kernels[this.#place] = handle
    return handle
  }

  #checkAvailable(device: Device): void {
    this.#module.checkUsable()
    if (this.#source.module[device.kind] !== undefined) return
    throw new AuxstreamError(
      "AUX_KERNEL_UNAVAILABLE",
      `Kernel "${this.name}" has no code for ${device.id}. Give its definition a \`${device.kind}\` body.`,
    )
  }
}

function isArray(argument: unknown): argument is DeviceArray | PinnedArray {
  return argument instanceof DeviceArray || argument instanceof PinnedArray
}

/** The device of a launch whose first array parameter did not get an array. */
function deviceFor(args: readonly unknown[]): Device {
  return args.find(isArray)?.device ?? currentDevice()
}

/**
 * Defines a kernel, with code for one or both kinds of device. This compiles and loads nothing yet. Call it once, at module
 * level.
 *
 * @param definition its name and signature, and its code for each kind of device
 * @throws AuxstreamError AUX_INVALID_ARGUMENT
 * @example
 * const saxpy = defineKernel({
 *   name: "saxpy",
 *   signature: ["int32", "float32", "in float32*", "inout float32*"],
 *   cuda: { source: `extern "C" __global__ void saxpy(int n, float a, const float* x, float* y) {
 *     int i = blockIdx.x * blockDim.x + threadIdx.x;
 *     if (i < n) y[i] += a * x[i];
 *   }` },
 *   host: { source: `export function saxpy(launch, n, a, x, y) { for (let i = 0; i < n; i++) y[i] += a * x[i] }` },
 * })
 */
export function defineKernel<const S extends readonly Parameter[]>(definition: KernelDefinition<S>): Kernel<Labelled<S>>
export function defineKernel(definition: KernelDefinition<readonly Parameter[]>): Kernel {
  checkDefinition(definition, "{ name, signature, cuda, host }", kernelNames)
  const { name, signature, partialOutputs = false, resident = false } = definition
  checkBoolean(partialOutputs, "partialOutputs")
  checkBoolean(resident, "resident")
  checkKernelName(name)
  const parameters = parseSignature(signature, name)
  const label = `Kernel "${name}"`
  const owner = `kernel "${name}"`
  const cuda = cudaBody(owner, definition.cuda)
  const host = hostBody(owner, definition.host, "export")
  const exported = exportName(name, definition.host) ?? name
  if (cuda === undefined && host === undefined) throw withoutCode(label)
  const module = new ModuleState({ name, label, cuda, host, globals: [] })
  const source = { name, parameters, module: module.source, symbol: name, export: exported, partialOutputs }
  return new Kernel(source, signature, module, resident)
}
