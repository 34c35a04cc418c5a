/** Tests of the public types. A wrong type fails the build; nothing here is ever run. */

import type { FileHandle } from "node:fs/promises"
import { expectTypeOf as type } from "expect-type"
import {
  captureGraph,
  type CopyShape,
  defineKernel,
  executeInParallel,
  fork,
  maybeExecuteInParallel as maybe,
  measuredOverlap,
  parallel,
  runIf,
  runWhile,
  listDevices,
  openDevice,
  type Argument,
  type Device,
  type DeviceProperties,
  type DeviceArray,
  type DeviceSelector,
  type Dimensions,
  type DType,
  type Event,
  type Float16Elements,
  type Graph,
  type GraphNode,
  type GraphNodeKind,
  type GraphOverlap,
  type HostKernel,
  type Kernel,
  type Labelled,
  type KernelAttributes,
  type KernelDefinition,
  type OpaqueBytes,
  type KernelOccupancy,
  type MemoryUsage,
  type PinnedArray,
  type Stream,
  type SuggestedBlock,
} from "auxstream"

declare const device: Device
declare const flag: boolean
declare const event: Event
declare const stream: Stream
declare const x: DeviceArray<"float32">
declare const y: DeviceArray<"float32">
declare const ints: DeviceArray<"int32">
declare const pinned: PinnedArray<"float32">
const shape = { grid: 1, block: 1 }

// Kernels: the signature keeps its literal types, and launches are checked against them.

const saxpy = defineKernel({ name: "saxpy", signature: ["int32", "float32", "in float32*", "inout float32*"] })
const wide = defineKernel({ name: "wide", signature: ["int64", "inout uint64*", "in bfloat16*", "float16"] })
type(saxpy).toEqualTypeOf<Kernel<readonly ["int32", "float32", "in float32*", "inout float32*"]>>()

saxpy.launch({ grid: 1, block: [32, 2] }, 1, 2, x, y)
saxpy.launch({ grid: 1, block: [32, 2] }, 1, 2, pinned, device.from(new Float32Array(3)))
const bits = device.from(new Uint16Array(1), "bfloat16")
wide.launch({ grid: 1, block: 1, stream: undefined }, 3n, device.empty("uint64", 1), bits, 0.5)

// @ts-expect-error wrong dtype
saxpy.launch(shape, 1, 2, ints, y)
// @ts-expect-error too few
saxpy.launch(shape, 1, 2, x)
// @ts-expect-error too many
saxpy.launch(shape, 1, 2, x, y, 3)
// @ts-expect-error a number instead of an array
saxpy.launch(shape, 1, 2, 3, y)
// @ts-expect-error a typed array instead of an array
saxpy.launch(shape, 1, 2, new Float32Array(2), y)
// @ts-expect-error a string instead of a number
saxpy.launch(shape, "1", 2, x, y)
// @ts-expect-error a bigint instead of an int32
saxpy.launch(shape, 1n, 2, x, y)
// @ts-expect-error a grid of four dimensions: "there are at most three sizes"
saxpy.launch({ grid: [1, 1, 1, 1], block: 1 }, 1, 2, x, y)
type<4>().toExtend<Dimensions>()
type<readonly [1, 2, 3]>().toExtend<Dimensions>()
type<[1, undefined, 3]>().toExtend<Dimensions>()
type<[1, 2, 3, 4]>().not.toExtend<Dimensions>()
type<[]>().not.toExtend<Dimensions>()
// @ts-expect-error no such dtype
defineKernel({ name: "f", signature: ["float31"] })
// @ts-expect-error a pointer without its access
defineKernel({ name: "f", signature: ["float32*"] })

// Structs: the argument follows from the fields.

const params = {
  struct: {
    n: "int32",
    big: "int64",
    half: "float16",
    table: "in float32*",
    lut: ["float32", 4],
    bits: ["float16", 2],
    tables: ["out int32*", 2],
    matrix: [["float32", 4], 4],
    inner: { struct: { x: "float64" }, align: 16 },
    raw: { bytes: 12, align: 4 },
  },
} as const
const byValue = defineKernel({ name: "by_value", signature: [params, { bytes: 128, align: 64 }, "int32"] })
declare const good: Argument<typeof params>
type(good.n).toEqualTypeOf<number>()
type(good.big).toEqualTypeOf<number | bigint>()
type(good.half).toEqualTypeOf<number>()
type(good.table).toEqualTypeOf<DeviceArray<"float32"> | PinnedArray<"float32">>()
type(good.lut).toEqualTypeOf<readonly number[] | Float32Array>()
type(good.bits).toEqualTypeOf<readonly number[] | Uint16Array | Float16Elements>()
type(good.tables).toEqualTypeOf<readonly (DeviceArray<"int32"> | PinnedArray<"int32">)[]>()
type(good.matrix).toEqualTypeOf<readonly (readonly number[] | Float32Array)[]>()
type(good.inner).toEqualTypeOf<{ readonly x: number }>()
type(good.raw).toEqualTypeOf<Uint8Array>()
type<Argument<OpaqueBytes>>().toEqualTypeOf<Uint8Array>()
const map = new Uint8Array(128)
byValue.launch(shape, good, map, 1)
byValue.launch(shape, { ...good, lut: [1, 2, 3, 4], tables: [ints, ints], matrix: [[1], [2]] }, map, 1)
// @ts-expect-error a misspelled field
byValue.launch(shape, { ...good, N: 1 }, map, 1)
// @ts-expect-error an array of another dtype behind a pointer
byValue.launch(shape, { ...good, table: ints }, map, 1)
// @ts-expect-error a typed array of another dtype
byValue.launch(shape, { ...good, lut: new Float64Array(4) }, map, 1)
// @ts-expect-error a wrong field of a nested struct
byValue.launch(shape, { ...good, inner: { x: "1" } }, map, 1)
// @ts-expect-error a bigint for an int32
byValue.launch(shape, { ...good, n: 1n }, map, 1)
// @ts-expect-error a number for a struct
byValue.launch(shape, 1, map, 1)
// @ts-expect-error an array of numbers for bytes
byValue.launch(shape, good, [1, 2], 1)
const twoInts = defineKernel({ name: "two_ints", signature: [{ struct: { a: "int32", b: "int32" } }] })
twoInts.launch(shape, { a: 1, b: 2 })
// @ts-expect-error a missing field
twoInts.launch(shape, { a: 1 })
// @ts-expect-error a field too many
twoInts.launch(shape, { a: 1, b: 2, c: 3 })
// @ts-expect-error no such dtype in a struct
defineKernel({ name: "f", signature: [{ struct: { a: "float31" } }] })
// @ts-expect-error an array without its length
defineKernel({ name: "f", signature: [{ struct: { a: ["float32"] } }] })
// @ts-expect-error a bare array is no parameter in C
defineKernel({ name: "f", signature: [["float32", 4]] })

export const structOnHost: HostKernel<typeof byValue.signature> = (_launch, p, bytes, count) => {
  type(p).toEqualTypeOf<{
    n: number
    big: bigint
    half: number
    table: Float32Array
    lut: Float32Array
    bits: Uint16Array
    tables: Int32Array[]
    matrix: Float32Array[]
    inner: { x: number }
    raw: Uint8Array
  }>()
  type(bytes).toEqualTypeOf<Uint8Array>()
  type(count).toEqualTypeOf<number>()
}
loose.launch(shape, good, map)

export const onHost: HostKernel<typeof saxpy.signature> = (_launch, n, a, from, to) => {
  for (let i = 0; i < n; i++) to[i] = (to[i] ?? 0) + a * (from[i] ?? 0)
}
export const kernels: Kernel[] = [saxpy, wide, byValue]

// A kernel with an unknown signature takes any array and any number, so that functions can be generic over dtypes.

export function reversed<D extends DType>(kernel: Kernel, from: DeviceArray<D>, to: DeviceArray<D>): void {
  kernel.launch(shape, from.length, from, to, device.pinned(from.dtype, 1), 3n)
}
declare const loose: Kernel
declare const anyArray: DeviceArray
declare const anyPinned: PinnedArray
loose.launch(shape, anyArray, anyPinned, x, pinned)
// @ts-expect-error a string is neither
loose.launch(shape, "1")
type<Argument<"in int32*" | "out float32*">>().toEqualTypeOf<
  DeviceArray<"int32" | "float32"> | PinnedArray<"int32" | "float32">
>()
type<Argument<"int32">>().toEqualTypeOf<number>()
type<Argument<"int64">>().toEqualTypeOf<number | bigint>()
type<Argument<"in int32*">>().toEqualTypeOf<DeviceArray<"int32"> | PinnedArray<"int32">>()

// Optional properties may be undefined, too, even under exactOptionalPropertyTypes.

export const optionals: KernelDefinition<[]> = {
  name: "f",
  signature: [],
  cuda: { source: "", options: undefined },
  host: { source: "", export: undefined },
}

// Devices: a listed or open device can be opened by its id.

type(listDevices()[0]?.id).toExtend<DeviceSelector | undefined>()
openDevice(listDevices()[0]?.id)
type(openDevice(device.id)).toEqualTypeOf<Device>()
// @ts-expect-error no such device
openDevice("gpu")

// Facts: what a device may lack is undefined, and nothing can be changed.

type(device.properties).toEqualTypeOf<DeviceProperties>()
type(device.properties.multiprocessors).toEqualTypeOf<number>()
type(device.properties.computeCapability?.major).toEqualTypeOf<number | undefined>()
type(device.memory).toEqualTypeOf<MemoryUsage>()
type(device.memory.free).toEqualTypeOf<number>()
// @ts-expect-error a property is only read
device.properties.warpSize = 1
// @ts-expect-error nor is there another size in its limits
device.properties.maxGrid[0] = 1
type(saxpy.attributes(device)).toEqualTypeOf<KernelAttributes>()
type(saxpy.occupancy(device, { block: [16, 16], sharedMemory: undefined })).toEqualTypeOf<KernelOccupancy>()
type(saxpy.suggestBlock(device, { maxThreads: 256 })).toEqualTypeOf<SuggestedBlock>()
// @ts-expect-error without a block
saxpy.occupancy(device, {})

// Arrays: the typed array determines the dtype, and the dtype the typed array that is read.

type(device.from(new Uint16Array(1))).toEqualTypeOf<DeviceArray<"uint16">>()
type(device.from(new Uint8Array(1))).toEqualTypeOf<DeviceArray<"uint8">>()
type(device.from(Buffer.from("x"))).toEqualTypeOf<DeviceArray<"uint8">>()
type(device.from(new Int32Array(1))).toEqualTypeOf<DeviceArray<"int32">>()
type(device.from(new Float64Array(1))).toEqualTypeOf<DeviceArray<"float64">>()
type(device.from(new BigInt64Array(1))).toEqualTypeOf<DeviceArray<"int64">>()
type(device.from({} as Float16Elements)).toEqualTypeOf<DeviceArray<"float16">>()
device.empty("float16", 1).copyFrom({} as Float16Elements)
// @ts-expect-error a Float16Array holds no bfloat16
device.from({} as Float16Elements, "bfloat16")
// @ts-expect-error a Float16Array cannot be copied to bfloat16
device.empty("bfloat16", 1).copyFrom({} as Float16Elements)
type(x.read()).resolves.toEqualTypeOf<Float32Array<ArrayBuffer>>()
type(pinned.array).toEqualTypeOf<Float32Array>()

// Files: the dtype decides what the array is.

type(device.load("x", { dtype: "bfloat16", length: 1, offset: 2, signal: undefined })).resolves.toEqualTypeOf<
  DeviceArray<"bfloat16">
>()
void device.load(new URL("file:///x"), { dtype: "int8" })
declare const handle: FileHandle
void device.load(handle, { dtype: "int8" })
// @ts-expect-error no dtype
void device.load("x", { length: 1 })
// @ts-expect-error a descriptor is no file
void device.load(3, { dtype: "int8" })

// Rows: a source of the same dtype, and sizes in elements.

const rows: CopyShape = { width: 1, height: 2, pitch: 3, sourcePitch: undefined }
type(x.copyFrom2D(y, rows)).toEqualTypeOf<DeviceArray<"float32">>()
type(pinned.copyFrom2D(x, rows)).toEqualTypeOf<PinnedArray<"float32">>()
x.copyFrom2D(pinned, rows).copyFrom2D(new Float32Array(4), { width: 1, height: 2 }).fill2D(1, { width: 1, height: 2 })
// @ts-expect-error another dtype
x.copyFrom2D(ints, rows)
// @ts-expect-error a typed array of another dtype
x.copyFrom2D(new Int32Array(4), rows)
// @ts-expect-error no height
x.copyFrom2D(y, { width: 1 })
// @ts-expect-error a fill has no source
x.fill2D(1, { width: 1, height: 1, sourcePitch: 1 })
// @ts-expect-error a bigint for a float32
x.fill2D(1n, rows)
// @ts-expect-error a typed array is written in place
pinned.copyFrom2D(new Float32Array(4), rows)

declare function takeAny(array: DeviceArray): void
takeAny(x)
export const generic = <D extends DType>(array: DeviceArray<D>): Promise<unknown> => array.read()

// Fork and join: a tuple if no function returns a thenable, a promise of it if one certainly does, otherwise either.

const number = (): number => 1
const string = (): string => "a"
const array = (): DeviceArray<"float32"> => x
const later = async (): Promise<number> => 1
const perhaps = (): number | Promise<number> => 1
const unknown = (): unknown => 1
const any = () => JSON.parse("1")
const nothing = (): void => {}
const never = (): never => {
  throw new Error("never")
}
declare function lookalike(): { then(resolve: (value: number) => void): void }

type(maybe(number, string, event, event, stream)).toEqualTypeOf<[number, string]>()
type(maybe(later, string, null, null)).toEqualTypeOf<Promise<[number, string]>>()
type(maybe(string, later, event, event, null)).toEqualTypeOf<Promise<[string, number]>>()
type(maybe(later, async () => nothing(), event, event, stream)).toEqualTypeOf<Promise<[number, void]>>()
type(maybe(perhaps, string, event, event, stream)).toEqualTypeOf<[number, string] | Promise<[number, string]>>()
type(maybe(never, string, event, event, stream)).toEqualTypeOf<[never, string]>()
type(maybe(lookalike, string, event, event, stream)).toEqualTypeOf<[ReturnType<typeof lookalike>, string]>()
type(maybe(unknown, string, event, event, stream)).toEqualTypeOf<[unknown, string] | Promise<[unknown, string]>>()
type(maybe(any, string, event, event, stream)).toEqualTypeOf<[any, string] | Promise<[any, string]>>()
type(maybe(array, () => undefined, event, event, stream)).toEqualTypeOf<[DeviceArray<"float32">, undefined]>()
type(maybe(nothing, () => null, event, event, stream)).toEqualTypeOf<[void, null]>()

type(maybe(number, string, undefined, undefined)).toEqualTypeOf<[number, string]>()

const [first, nested] = maybe(array, () => [y], event, event, stream)
type(first).toEqualTypeOf<DeviceArray<"float32">>()
type(nested).toEqualTypeOf<DeviceArray<"float32">[]>()
const [awaited, plain] = await maybe(async () => x, number, event, event, stream)
type(awaited).toEqualTypeOf<DeviceArray<"float32">>()
type(plain).toEqualTypeOf<number>()

// @ts-expect-error fn0 is not a function
void maybe(1, number, event, event)
// @ts-expect-error a stream instead of an event
void maybe(number, number, stream, event, event)

// Fan-out: an empty slot gives undefined; lists of unknown length give lists.

declare const optional: (() => DeviceArray<"int32">) | null
declare const list: ((() => number) | null)[]
const boolean = (): boolean => true
const two = [event, event]

type(executeInParallel(number, [string, null, boolean], null, [])).toEqualTypeOf<
  [number, [string, undefined, boolean]]
>()
type(executeInParallel(number, [string, null, later], event, two, [stream, null], { enable: true })).toEqualTypeOf<
  Promise<[number, [string, undefined, number]]>
>()
type(executeInParallel(number, [optional, number], event, two, [stream, stream])).toEqualTypeOf<
  [number, [DeviceArray<"int32"> | undefined, number]]
>()
type(executeInParallel(number, [string], undefined, undefined, undefined)).toEqualTypeOf<[number, [string]]>()
type(executeInParallel(number, [string], null, [undefined], [undefined])).toEqualTypeOf<[number, [string]]>()
type(executeInParallel(number, flag ? [string] : [later], null, null)).toEqualTypeOf<
  [number, [string]] | Promise<[number, [number]]>
>()
type(executeInParallel(number, list, event, two, [stream])).toEqualTypeOf<[number, (number | undefined)[]]>()
const [main, [aux, empty]] = executeInParallel(array, [() => ints, null], event, two, [stream, stream])
type(main).toEqualTypeOf<DeviceArray<"float32">>()
type(aux).toEqualTypeOf<DeviceArray<"int32">>()
type(empty).toEqualTypeOf<undefined>()

type(parallel([number, string])).toEqualTypeOf<[number, string]>()
type(parallel([number, later])).toEqualTypeOf<Promise<[number, number]>>()
type(parallel([1, 2].map((i) => () => i))).toEqualTypeOf<number[]>()

// A policy: both options or none; the results have the same types.

const measured = measuredOverlap({ name: "types", file: new URL("file:///decisions.json") })
type(maybe(number, string, event, event, stream, { overlap: measured, key: 1 })).toEqualTypeOf<[number, string]>()
type(maybe(number, later, event, event, stream, { overlap: measured, key: "k" })).toEqualTypeOf<
  Promise<[number, number]>
>()
type(maybe(number, string, event, event, stream, { overlap: undefined, key: "k" })).toEqualTypeOf<[number, string]>()
type(
  executeInParallel(number, [string], event, two, [stream], { enable: true, overlap: measured, key: 1 }),
).toEqualTypeOf<[number, [string]]>()
type(parallel([number, string], { overlap: measured, key: 1 })).toEqualTypeOf<[number, string]>()
type(measured.report()).toEqualTypeOf<string>()
type(measured.decisions[0]?.mode).toEqualTypeOf<"parallel" | "sequential" | undefined>()
// @ts-expect-error a policy needs a key
void maybe(number, string, event, event, stream, { overlap: measured })
// @ts-expect-error a key is a string or a number
void parallel([number, string], { overlap: measured, key: 1n })
// @ts-expect-error a name is not a policy
void parallel([number, string], { overlap: "types", key: 1 })
// @ts-expect-error a policy has a name
void measuredOverlap({})

// Lists that may or may not be async, or may be empty: not certainly a promise.

type(parallel(flag ? [number] : [later])).toEqualTypeOf<[number] | Promise<[number]>>()
type(parallel([flag ? number : later])).toEqualTypeOf<[number] | Promise<[number]>>()
type(parallel([1, 2].map((i) => async () => i))).toEqualTypeOf<never[] | Promise<number[]>>()
declare const fewAsync: [() => Promise<string>, ...(() => number)[]]
type(parallel(fewAsync)).toEqualTypeOf<Promise<[string, ...number[]]>>()
// @ts-expect-error it may not be a promise
void parallel(flag ? [number] : [later]).then

type(fork(number).join()).toEqualTypeOf<number>()
type(fork(later).join()).toEqualTypeOf<Promise<number>>()

// Graphs: the result is what the function returns; an async function gives a promise of the graph.

type(captureGraph(array)).toEqualTypeOf<Graph<DeviceArray<"float32">>>()
type(captureGraph(nothing)).toEqualTypeOf<Graph<void>>()
type(captureGraph(later)).toEqualTypeOf<Promise<Graph<number>>>()
type(captureGraph(perhaps)).toEqualTypeOf<Graph<number> | Promise<Graph<number>>>()
type(captureGraph(() => parallel([array, number]), { device })).toEqualTypeOf<Graph<[DeviceArray<"float32">, number]>>()
type(captureGraph(() => parallel([array, later]), { device: undefined })).toEqualTypeOf<
  Promise<Graph<[DeviceArray<"float32">, number]>>
>()

const policy = measuredOverlap({ name: "graphs" })
type(captureGraph(array, { overlap: policy, key: 64 })).toEqualTypeOf<Graph<DeviceArray<"float32">>>()
type(captureGraph(later, { overlap: policy, key: "decode", device })).toEqualTypeOf<Promise<Graph<number>>>()
type(captureGraph(array).overlap).toEqualTypeOf<GraphOverlap | undefined>()
// @ts-expect-error the policy must know the shape
captureGraph(array, { overlap: policy })
// @ts-expect-error a key is a string or a number
captureGraph(array, { overlap: policy, key: true })
type(captureGraph(boolean)).toEqualTypeOf<Graph<boolean>>()
type(captureGraph(boolean).update(boolean)).toEqualTypeOf<boolean>()
type(captureGraph(() => (flag ? x : ints))).toEqualTypeOf<Graph<DeviceArray<"float32"> | DeviceArray<"int32">>>()
type(captureGraph(never)).toEqualTypeOf<Graph<never>>()
type(captureGraph(unknown)).toEqualTypeOf<Graph<unknown> | Promise<Graph<unknown>>>()

const pair = captureGraph((): [DeviceArray<"float32">, number] => [x, 1])
type(pair.update(() => [y, 2])).toEqualTypeOf<boolean>()
type(pair.update(async () => [y, 2])).toEqualTypeOf<Promise<boolean>>()
type(pair.update(() => (flag ? [y, 2] : Promise.resolve<[DeviceArray<"float32">, number]>([y, 2])))).toEqualTypeOf<
  boolean | Promise<boolean>
>()
// @ts-expect-error another tuple
void pair.update(() => [2, y])

const graph = captureGraph(array)
type(graph.result).toEqualTypeOf<DeviceArray<"float32">>()
type(graph.launch(stream)).toEqualTypeOf<void>()

// A kernel's type can be named, and an object of that type can hold the kernel.

const half = defineKernel({ name: "half", signature: ["int32", "inout float32*"], host: { source: "" } })
type(half).toEqualTypeOf<Kernel<Labelled<readonly ["int32", "inout float32*"]>>>()
type<Kernel<Labelled<readonly ["int32"]>>>().not.toEqualTypeOf<typeof half>()

// Nodes: arguments are checked once the kernel is known.

type(graph.nodes).toEqualTypeOf<readonly GraphNode[]>()
for (const node of graph.nodes) {
  type(node.enabled).toEqualTypeOf<boolean>()
  type(node.kind).toEqualTypeOf<GraphNodeKind>()
  node.setArguments(1, x, ints)
  // @ts-expect-error a string is no argument of any kernel
  node.setArguments("1")
  if (!node.launches(saxpy)) continue
  type(node.kernel).toEqualTypeOf<Kernel<typeof saxpy.signature> | undefined>()
  node.setArguments(1, 2, x, y)
  // @ts-expect-error wrong dtype
  node.setArguments(1, 2, ints, y)
  // @ts-expect-error too few
  node.setArguments(1, 2, x)
  // @ts-expect-error too many
  node.setArguments(1, 2, x, y, 3)
  // @ts-expect-error a number instead of an array
  node.setArguments(1, 2, 3, y)
  // @ts-expect-error not a number
  node.enabled = 1
}
type(graph.update(() => y)).toEqualTypeOf<boolean>()
type(graph.update(async () => y)).toEqualTypeOf<Promise<boolean>>()
type(graph.edges).toEqualTypeOf<readonly (readonly [from: number, to: number])[]>()
type(graph.toDot()).toEqualTypeOf<string>()

// @ts-expect-error a number instead of a function
void captureGraph(1)
// @ts-expect-error a device's name instead of a device
void captureGraph(array, { device: "host" })
// @ts-expect-error a result of another type than the captured one
void graph.update(() => ints)
// @ts-expect-error the result is read-only
graph.result = y

type(runIf(ints, nothing)).toEqualTypeOf<void>()
runIf(device.pinned("int32", 1), nothing, nothing)
type(runWhile(ints, nothing)).toEqualTypeOf<void>()
runIf(ints, () => y.copyFrom(y))
runIf(ints, () => JSON.parse("1"))
runIf(ints, never, never)
runWhile(ints, never)
runIf(ints, unknown)
// @ts-expect-error a function that may be async is refused like an async one
runIf(ints, perhaps)
// @ts-expect-error as the second body, too
runIf(ints, nothing, perhaps)
// @ts-expect-error and as the body of a loop
runWhile(ints, perhaps)
// @ts-expect-error the body must not be async
runIf(ints, async () => {})
// @ts-expect-error nor the second one
runIf(ints, nothing, async () => {})
// @ts-expect-error nor the body of a loop
runWhile(ints, () => Promise.resolve(1))
// @ts-expect-error the condition must be an int32
runIf(x, nothing)
// @ts-expect-error the condition must be on the device
runWhile(1, nothing)
