import { type FlatPrimitive, flatten, type FlatSignature } from "../../common/struct/flat.js"
import { parameterText } from "../../common/struct/text.js"
import type { KernelHandle } from "../../driver/handles.js"
import type { KernelSource } from "../../driver/modules.js"
import type { KernelAttributes, KernelOccupancy, SuggestedBlock } from "../../common/facts/kernel-facts.js"
import { captureOf } from "../capture/capture.js"
import type { NodeArguments } from "../capture/node-changes.js"
import { accept, begin, prepare, refuse } from "../capture/operation.js"
import { Device } from "../device/device.js"
import { checkNames, mustBe } from "../../common/check.js"
import { checkLaunchSignal, dropOnAbort } from "./dropping.js"
import { AuxstreamError } from "../../common/errors.js"
import { type CheckedArgument, isArray, LaunchParameter } from "./launch-argument.js"
import { type Dimensions, launchAttributes, shapeOf } from "./launch-shape.js"
import { occupancy, type OccupancyOptions, suggestBlock, type SuggestBlockOptions } from "./occupancy.js"
import type { Arguments, Parameter } from "./parameter-types.js"
import type { ModuleState } from "./module-state.js"
import { StructWriter } from "./struct-arguments.js"
import type { IndirectUses } from "../memory/indirect-uses.js"
import { type Context, context } from "../device/context.js"
import { currentDevice, currentStreamIn } from "../device/current.js"
import { type ExternalUses, indirectUses, Stream } from "../device/stream.js"
import { accessesOf, Operation, OperationType } from "../order/observer/operation.js"
import { holdOthers, noteResidentKernel } from "../order/policy/resident.js"
import { showCall } from "../order/observer/observers.js"
import type { StreamState } from "../order/stream-state.js"
import { tell } from "../order/told-failures.js"

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
  /** Arrays that the kernel uses through pointers that are not among its arguments. */
  readonly uses?: ExternalUses | undefined
  /**
   * If the signal has aborted before the call, the launch throws its reason. On host, a signal that aborts before the
   * kernel begins drops the launch: its stream breaks, as if the kernel had failed, so later work of that stream is
   * skipped. A kernel that has begun runs to its end. CUDA cannot withdraw queued work, so there a later abort does
   * nothing.
   */
  readonly signal?: AbortSignal | undefined
}

const launchOptions: ReadonlySet<string> = new Set([
  ...(["grid", "block", "sharedMemory", "cluster", "cooperative"] satisfies (keyof LaunchOptions)[]),
  ...(["stream", "uses", "signal"] satisfies (keyof LaunchOptions)[]),
])

/** Called for each name but the most frequent ones. */
function checkName(options: object, name: string): void {
  if (!launchOptions.has(name)) checkNames(options, "options", launchOptions)
}

const modeOf = { in: "read", out: "write", inout: "readwrite" } as const

function launchType(kernel: string, primitives: readonly FlatPrimitive[], isResident: boolean): OperationType {
  const modes = primitives.map(({ access }) => access && modeOf[access])
  const paths = primitives.map(({ path }) => path)
  return new OperationType("launch", kernel, modes, paths, isResident)
}

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
  /** The number of parameters. */
  readonly #count: number
  /** The flat parameters. */
  readonly #parameters: readonly LaunchParameter[]
  readonly #type: OperationType
  /** The index of the first flat argument that is an array; 0 if there is none. */
  readonly #firstArray: number
  readonly #module: ModuleState
  readonly #hasGlobals: boolean
  /** Whether every launch has more to do than most. */
  readonly #isSpecial: boolean
  /** The index at which every device keeps this kernel's handle. */
  readonly #place: number

  /** @internal */
  constructor(source: KernelSource, signature: S, module: ModuleState, resident: boolean) {
    this.name = source.name
    this.signature = signature
    this.resident = resident
    if (resident) noteResidentKernel()
    this.#source = source
    this.#module = module
    this.#place = module.add(source)
    this.#hasGlobals = module.hasGlobals
    this.#isSpecial = module.hasGlobals || resident
    this.#count = source.parameters.length
    this.#flat = flatten(source.parameters)
    const { primitives } = this.#flat
    this.#type = launchType(source.name, primitives, resident)
    this.#firstArray = Math.max(
      0,
      this.#type.modes.findIndex((mode) => mode !== undefined),
    )
    this.#parameters = primitives.map((primitive) => new LaunchParameter(primitive, source.name))
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
   * const { blocks } = relu.occupancy(device, { block: 256 })
   * relu.launch({ grid: blocks, block: 256, cooperative: true }, x)
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
   * const { block } = saxpy.suggestBlock(device)
   * saxpy.launch({ grid: Math.ceil(n / block), block }, n, 2, x, y)
   */
  suggestBlock(device: Device, options: SuggestBlockOptions = {}): SuggestedBlock {
    this.#checkDevice(device)
    return suggestBlock(device, () => this.load(device), options)
  }

  /**
   * Checks the options and arguments, then queues a launch. CUDA: `cuLaunchKernelEx`.
   *
   * @param options the grid, the block, and other options of the launch
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
    for (const name in options) if (name !== "grid" && name !== "block" && name !== "stream") checkName(options, name)
    if (given.length !== this.#count) throw this.#wrongCount(given.length)
    const writer = this.#flat.byteLength === 0 ? undefined : this.#acquireWriter()
    const args = writer === undefined ? given : writer.take(given)
    const named = options.stream
    const here = named === undefined ? context() : undefined
    const stream = here === undefined ? checkedStream(named) : currentStreamIn(here, this.#deviceOf(args))
    const { device, state } = stream
    this.#checkArguments(args, device)
    const { grid, block, sharedMemory = 0, signal, uses, cluster, cooperative } = options
    const shape = shapeOf(grid, block, sharedMemory, device.driver.limits)
    const isPlain = signal === undefined && uses === undefined && cluster === undefined && cooperative === undefined
    if (!isPlain || writer !== undefined || this.#isSpecial) {
      return this.#launchSpecially(options, stream, args, writer)
    }
    if (state.order.isWatched) {
      return this.#launchWatched(state, here, device, grid, block, sharedMemory, args)
    }
    const handle = device.kernels[this.#place] ?? this.#loadAnew(device)
    state.checkUsable()
    try {
      prepare(state, this.#type, args)
      state.order.driver.kernels.launch(state.handle, handle, shape, args, undefined)
    } catch (error) {
      throw tell(error)
    }
    accept(state, this.#type, args, undefined, undefined)
  }

  /**
   * The rest of a plain launch that an observer or a capture sees.
   *
   * @param here the caller's context; undefined if the caller named the stream
   */
  #launchWatched(
    stream: StreamState,
    here: Context | undefined,
    device: Device,
    grid: Dimensions,
    block: Dimensions,
    sharedMemory: number,
    args: CheckedArgument[],
  ): void {
    const handle = this.load(device)
    const { region } = here ?? context()
    const operation = Operation.show(this.#type, stream, args, undefined, here === undefined, region)
    const state = operation.stream
    try {
      prepare(state, this.#type, args)
      // The observer may have launched other kernels.
      const shape = shapeOf(grid, block, sharedMemory, device.driver.limits)
      state.order.driver.kernels.launch(state.handle, handle, shape, args, undefined)
    } catch (error) {
      throw refuse(operation, error)
    }
    accept(state, this.#type, args, undefined, operation)
    if (state.capture !== undefined) captureOf(state)?.noteKernel(this, this.#module.on(device).memory)
  }

  /** The rest of a launch with rare options, structs or globals, or of a resident kernel. */
  #launchSpecially(
    options: LaunchOptions,
    stream: Stream,
    args: CheckedArgument[],
    writer: StructWriter | undefined,
  ): void {
    const { device } = stream
    const { grid, block, sharedMemory = 0, signal, uses } = options
    if (signal !== undefined) checkLaunchSignal(signal, stream.state)
    const attributes = launchAttributes(options, grid, signal !== undefined, writer?.bytes)
    const indirect = uses === undefined && !this.#hasGlobals ? undefined : this.#indirectUses(uses, device)
    const handle = this.load(device)
    const followLater = this.resident ? holdOthers(stream.state) : undefined
    const operation = begin(stream.state, this.#type, args, indirect, options.stream !== undefined)
    const state = operation === undefined ? stream.state : operation.stream
    try {
      prepare(state, this.#type, args)
      if (indirect !== undefined) prepare(state, indirect, indirect.spans)
      // The observer may have launched other kernels.
      const shape = shapeOf(grid, block, sharedMemory, device.driver.limits)
      const launch = state.order.driver.kernels.launch(state.handle, handle, shape, args, attributes)
      if (launch !== undefined && signal !== undefined) dropOnAbort(signal, launch)
    } catch (error) {
      throw refuse(operation, error)
    }
    accept(state, this.#type, args, indirect, operation)
    if (followLater !== undefined) followLater()
    if (writer !== undefined) this.#writer = writer
    if (operation !== undefined) captureOf(state)?.noteKernel(this, this.#module.on(device).memory)
  }

  /** What the launch uses beside its arguments. A module's globals are known once it is loaded. */
  #indirectUses(uses: ExternalUses | undefined, device: Device): IndirectUses | undefined {
    if (!this.#hasGlobals) return uses === undefined ? undefined : indirectUses(uses, device)
    this.load(device)
    return this.#module.usesOf(device, uses)
  }

  /** @internal Checks other arguments for a node of a graph. */
  nodeArguments(device: Device, given: readonly unknown[]): NodeArguments {
    if (given.length !== this.#count) throw this.#wrongCount(given.length)
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

  /** The device whose current stream gets the launch. */
  #deviceOf(args: readonly unknown[]): Device {
    const array = args[this.#firstArray]
    return isArray(array) ? array.device : deviceFor(args)
  }

  #wrongCount(count: number): AuxstreamError {
    return new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `Kernel "${this.name}" must have ${this.#count} arguments (${this.signatureText}); got ${count}`,
    )
  }

  /** Checks the flat arguments. Scalars inside structs have been checked before. */
  #checkArguments(args: unknown[], device: Device): asserts args is CheckedArgument[] {
    const parameters = this.#parameters
    for (let index = 0; index < parameters.length; index++) parameters[index]?.check(args[index], device)
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

function checkedStream(stream: unknown): Stream {
  if (stream instanceof Stream) return stream
  throw mustBe("stream", "a Stream or undefined", stream)
}

/** The device of a launch whose first array parameter did not get an array. */
function deviceFor(args: readonly unknown[]): Device {
  return args.find(isArray)?.device ?? currentDevice()
}
