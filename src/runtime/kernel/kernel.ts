import { type FlatPrimitive, flatten, type FlatSignature } from "../../common/struct/flat.js"
import { parameterText } from "../../common/struct/text.js"
import type { KernelHandle, KernelSource } from "../../driver.js"
import type { KernelAttributes, KernelOccupancy, SuggestedBlock } from "../../common/kernel-facts.js"
import { captureOf } from "../capture/capture.js"
import { accept, begin, prepare, refuse } from "../capture/operation.js"
import { Device } from "../device/device.js"
import { DeviceArray } from "../device/device-array.js"
import { checkNames, mustBe } from "../../common/check.js"
import { checkLaunchSignal, dropOnAbort } from "./dropping.js"
import { checkScalar, elementsOf } from "../../common/dtype/elements.js"
import { AuxstreamError } from "../../common/errors.js"
import {
  checkDefinition,
  cudaBody,
  type CudaKernelBody,
  hostBody,
  type HostKernelBody,
  withoutCode,
} from "./kernel-body.js"
import { checkShape, checkThreads, type Dimensions, launchAttributes, sizeOf, width } from "./launch-shape.js"
import { occupancy, type OccupancyOptions, suggestBlock, type SuggestBlockOptions } from "./occupancy.js"
import { PinnedArray } from "../device/pinned-array.js"
import { show } from "../../common/show.js"
import type { Arguments, Parameter } from "./parameter-types.js"
import { parseSignature } from "./signature.js"
import { takeStructs } from "./struct-arguments.js"
import { currentDevice, currentStream } from "../device/current.js"
import { type ExternalUses, indirectUses, Stream } from "../device/stream.js"
import { OperationType } from "../order/operation.js"

/** What {@link defineKernel} takes. */
export interface KernelDefinition<S extends readonly Parameter[]> {
  /** The CUDA symbol (`extern "C"`), and what the host's code exports unless it says otherwise. */
  readonly name: string
  /** The parameters in order: `["int32", "float32", "in float32*", "inout float32*"]`. */
  readonly signature: S
  /** CUDA C++ source, PTX, or a cubin. */
  readonly cuda?: CudaKernelBody | undefined
  /** A JavaScript module's text or address, or a WebAssembly module. It runs a whole launch. */
  readonly host?: HostKernelBody | undefined
}

/** How a kernel is launched. */
export interface LaunchOptions {
  /** Blocks. */
  readonly grid: Dimensions
  /** Threads in a block: at most 1024. */
  readonly block: Dimensions
  /** Dynamic shared memory of a block, in bytes. */
  readonly sharedMemory?: number | undefined
  /** Blocks in a cluster, on devices that have clusters: 16 at most, on some 8. The grid has whole clusters. */
  readonly cluster?: Dimensions | undefined
  /** May the blocks wait for each other? */
  readonly cooperative?: boolean | undefined
  /** The current stream of the arguments' device unless given. */
  readonly stream?: Stream | undefined
  /** Arrays that the kernel reaches through pointers of its own, not through its arguments. */
  readonly uses?: ExternalUses | undefined
  /**
   * On host, drops the launch if it aborts before the kernel begins: its stream breaks, as if the kernel had failed, and
   * so neither it nor what is queued behind it there runs. A kernel that has begun runs to its end. On CUDA, queued work
   * cannot be taken back: there only a signal that has aborted before the call has an effect. Such a signal's reason is
   * thrown, on both devices.
   */
  readonly signal?: AbortSignal | undefined
}

const launchOptions: ReadonlySet<string> = new Set([
  ...(["grid", "block", "sharedMemory", "cluster", "cooperative"] satisfies (keyof LaunchOptions)[]),
  ...(["stream", "uses", "signal"] satisfies (keyof LaunchOptions)[]),
])

/** Spelled out, as each launch asks it: a set takes several times as long. */
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

function launchType(kernel: string, primitives: readonly FlatPrimitive[]): OperationType {
  const modes = primitives.map(({ access }) => access && modeOf[access])
  return new OperationType(
    "launch",
    kernel,
    modes,
    primitives.map(({ path }) => path),
  )
}

/** How many kernels there are. */
let count = 0

/** An argument that fits its parameter. */
type CheckedArgument = number | bigint | DeviceArray | PinnedArray

/**
 * A function that runs on a device. Defined once, for every device, with {@link defineKernel}; compiled and loaded at
 * its first launch there, or ahead of that by {@link prepare}.
 */
export class Kernel<S extends readonly Parameter[] = readonly Parameter[]> {
  readonly name: string
  readonly signature: S
  readonly #source: KernelSource
  readonly #flat: FlatSignature
  /** For each flat argument: why a scalar is refused. Arrays have a check of their own. */
  readonly #refusals: readonly (((value: unknown) => string | undefined) | undefined)[]
  readonly #type: OperationType
  /** The first flat argument that is an array, 0 if none is. */
  readonly #firstArray: number
  /** Where devices keep its handle. */
  readonly #place = count++

  /** @internal */
  constructor(source: KernelSource, signature: S) {
    this.name = source.name
    this.signature = signature
    this.#source = source
    this.#flat = flatten(source.parameters)
    const { primitives } = this.#flat
    this.#type = launchType(source.name, primitives)
    this.#firstArray = this.#type.positions[0] ?? 0
    this.#refusals = primitives.map(({ dtype, access }) =>
      access === undefined ? elementsOf(dtype).refuses : undefined,
    )
  }

  /** @internal The signature for messages. */
  get signatureText(): string {
    return this.#source.parameters.map(parameterText).join(", ")
  }

  /**
   * Compiles and loads the kernel ahead of its first launch, off the event loop.
   *
   * @throws AuxstreamError AUX_KERNEL_INVALID with the compiler's words, AUX_KERNEL_UNAVAILABLE without a body for the
   * device
   */
  async prepare(device: Device): Promise<void> {
    this.#checkDevice(device)
    // A launch before tells nothing: on host it finds out later that a kernel is broken.
    device.kernels[this.#place] = await device.driver.kernels.prepare(this.#source)
  }

  #checkDevice(device: unknown): asserts device is Device {
    if (!(device instanceof Device)) {
      throw mustBe("device", "a Device", device)
    }
    device.checkUsable()
    this.#checkAvailable(device)
  }

  /**
   * What the kernel needs: registers, shared memory, local memory. Loads it, if it is not loaded yet. In CUDA's words,
   * `cuFuncGetAttribute`.
   */
  attributes(device: Device): KernelAttributes {
    this.#checkDevice(device)
    return device.driver.kernels.attributes(this.load(device))
  }

  /**
   * How many blocks of this size the device can run at a time, and which share of its warps they fill. Loads the kernel, if
   * it is not loaded yet. In CUDA's words, `cuOccupancyMaxActiveBlocksPerMultiprocessor`.
   *
   * @throws AuxstreamError AUX_OUT_OF_RANGE for a block or shared memory that a launch could not have either
   * @example
   * const { blocks } = kernel.occupancy(device, { block: 256 })
   * kernel.launch({ grid: blocks, block: 256, cooperative: true }, x)
   */
  occupancy(device: Device, options: OccupancyOptions): KernelOccupancy {
    this.#checkDevice(device)
    return occupancy(device, () => this.load(device), options)
  }

  /**
   * The block size with the greatest occupancy, and the fewest blocks that fill the device. Loads the kernel, if it is not
   * loaded yet. In CUDA's words, `cuOccupancyMaxPotentialBlockSize`.
   *
   * @example
   * const { block } = kernel.suggestBlock(device)
   * kernel.launch({ grid: Math.ceil(n / block), block }, n, x)
   */
  suggestBlock(device: Device, options: SuggestBlockOptions = {}): SuggestedBlock {
    this.#checkDevice(device)
    return suggestBlock(device, () => this.load(device), options)
  }

  /**
   * Queues a launch. Everything is checked before: the shape, and each argument against the signature.
   *
   * @param args one for each parameter of the signature: numbers, bigints, arrays of the same device, and objects for
   * structs. All are read before the call returns.
   * @example
   * saxpy.launch({ grid: Math.ceil(n / 256), block: 256 }, n, 2, x, y)
   */
  launch(options: LaunchOptions, ...args: Arguments<S>): void
  launch(options: LaunchOptions, ...args: unknown[]): void {
    if (typeof options !== "object" || options === null) {
      throw mustBe("options", "{ grid, block }", options)
    }
    checkLaunchNames(options)
    this.#checkCount(args)
    const structs = this.#flat.byteLength === 0 ? undefined : takeStructs(args, this.#flat, this.name)
    const stream = this.#streamFor(options.stream, args)
    const { device } = stream
    this.#checkArguments(args, device)
    const { grid, block, sharedMemory = 0 } = options
    const { limits } = device.driver
    checkShape(grid, block, sharedMemory, limits)
    const blockX = width(block)
    const blockY = sizeOf(block, 1)
    const blockZ = sizeOf(block, 2)
    checkThreads(blockX * blockY * blockZ, limits)
    const { signal, cluster, cooperative } = options
    if (signal !== undefined) checkLaunchSignal(signal, stream.state)
    const isPlain = cluster === undefined && cooperative === undefined && signal === undefined && structs === undefined
    const attributes = isPlain ? undefined : launchAttributes(cluster, cooperative, grid, signal !== undefined, structs)
    const indirect = options.uses === undefined ? undefined : indirectUses(options.uses, device)
    const handle = this.load(device)

    const operation = begin(stream.state, this.#type, args, indirect, options.stream !== undefined)
    const state = operation === undefined ? stream.state : operation.stream
    try {
      prepare(state, this.#type, args)
      if (indirect !== undefined) prepare(state, indirect, indirect.spans)
      const launch = device.driver.kernels.launch(
        state.handle,
        handle,
        width(grid),
        sizeOf(grid, 1),
        sizeOf(grid, 2),
        blockX,
        blockY,
        blockZ,
        sharedMemory,
        args,
        attributes,
      )
      if (launch !== undefined && signal !== undefined) dropOnAbort(signal, launch)
    } catch (error) {
      throw refuse(operation, error)
    }
    accept(state, this.#type, args, indirect, operation)
    if (operation !== undefined) captureOf(state)?.memory.kernels.add(this.#source)
  }

  #streamFor(stream: unknown, args: readonly unknown[]): Stream {
    if (stream instanceof Stream) return stream
    if (stream !== undefined) {
      throw mustBe("stream", "a Stream, or left out", stream)
    }
    const array = args[this.#firstArray]
    return currentStream(isArray(array) ? array.device : deviceFor(args))
  }

  #checkCount(args: readonly unknown[]): void {
    const { parameters } = this.#source
    if (args.length === parameters.length) return
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `kernel ${this.name} was given ${args.length} arguments; its signature has ${parameters.length}: ` +
        `(${this.signatureText})`,
    )
  }

  /** Checks the flat arguments. Scalars inside structs have been checked before. */
  #checkArguments(args: unknown[], device: Device): asserts args is CheckedArgument[] {
    const { primitives } = this.#flat
    for (let index = 0; index < primitives.length; index++) {
      const primitive = primitives[index]
      if (primitive === undefined) continue
      const refuses = this.#refusals[index]
      if (refuses === undefined) this.#checkArray(args[index], primitive, device)
      else if (refuses(args[index]) !== undefined) {
        checkScalar(primitive.dtype, args[index], `argument ${primitive.path} of kernel ${this.name}`)
      }
    }
  }

  #checkArray(argument: unknown, primitive: FlatPrimitive, device: Device): void {
    const { dtype, path } = primitive
    if (!isArray(argument)) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `argument ${path} of kernel ${this.name} is ${show(argument)}; "${parameterText(primitive)}" takes a device array ` +
          "or a pinned one: make one with device.from()",
      )
    }
    argument.checkUsable()
    if (argument.dtype !== dtype) {
      throw new AuxstreamError(
        "AUX_DTYPE_MISMATCH",
        `argument ${path} of kernel ${this.name} is of ${argument.dtype}; "${parameterText(primitive)}" takes ${dtype}: ` +
          "give it an array of that, or name the array's in the signature",
      )
    }
    if (argument.device !== device) {
      throw new AuxstreamError(
        "AUX_DEVICE_MISMATCH",
        `argument ${path} of kernel ${this.name} is on ${argument.device.id}, the launch on ${device.id}; ` +
          "a kernel uses arrays of its own device",
      )
    }
  }

  /** @internal Loads the kernel now, if it is not there. */
  load(device: Device): KernelHandle {
    return device.kernels[this.#place] ?? this.#loadAnew(device)
  }

  #loadAnew(device: Device): KernelHandle {
    device.checkUsable()
    this.#checkAvailable(device)
    const handle = device.driver.kernels.load(this.#source)
    device.kernels[this.#place] = handle
    return handle
  }

  #checkAvailable(device: Device): void {
    if (this.#source.module[device.kind] !== undefined) return
    throw new AuxstreamError(
      "AUX_KERNEL_UNAVAILABLE",
      `kernel ${this.name} has no code for ${device.id}; give defineKernel() a "${device.kind}" body`,
    )
  }
}

function isArray(argument: unknown): argument is DeviceArray | PinnedArray {
  return argument instanceof DeviceArray || argument instanceof PinnedArray
}

/** The device of a launch with no array where its first one should be. */
function deviceFor(args: readonly unknown[]): Device {
  return args.find(isArray)?.device ?? currentDevice()
}

/**
 * Defines a kernel, once, for every device that it has code for. Nothing is compiled or loaded yet.
 *
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
export function defineKernel<const S extends readonly Parameter[]>(definition: KernelDefinition<S>): Kernel<S> {
  checkDefinition(definition)
  const { name, signature, cuda, host } = definition
  if (typeof name !== "string" || !/^[A-Za-z_$][\w$]*$/.test(name)) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `the kernel's name is ${show(name)}; it is an identifier, the one that its code exports`,
    )
  }
  const parameters = parseSignature(signature, name)
  const bodies = { cuda: cudaBody(name, cuda), host: hostBody(name, host) }
  if (bodies.cuda === undefined && bodies.host === undefined) throw withoutCode(name)
  const module = { name, label: `Kernel "${name}"`, ...bodies, globals: [], expressions: [] }
  return new Kernel({ name, parameters, module, symbol: name, export: bodies.host?.export ?? name }, signature)
}
