/** A user's first program: two parallel launches on the host device, a join, a read, and the disposal. */
const body = `
const scale = defineKernel({
  name: "scale",
  signature: ["float32", "inout float32*"],
  host: {
    source: \`export function scale(launch, factor, values) {
      for (let i = 0; i < values.length; i++) values[i] *= factor
    }\`,
  },
})

async function main() {
  const device = openDevice("host")
  const a = device.from(new Float32Array([1, 2, 3]))
  const b = device.from(new Float32Array([4, 5, 6]))
  const aux = device.createStream()
  maybeExecuteInParallel(
    () => scale.launch({ grid: 1, block: 1 }, 2, a),
    () => scale.launch({ grid: 1, block: 1 }, 10, b),
    device.createEvent(),
    device.createEvent(),
    aux,
  )
  console.log([...(await a.read()), ...(await b.read())].join(" "))
  device.dispose()
}
`

/** The output of {@link body}. */
export const printed = "2 4 6 40 50 60"

export const moduleProgram = `
import { defineKernel, maybeExecuteInParallel, openDevice } from "auxstream"
${body}
await main()
`

export const commonJsProgram = `
const { defineKernel, maybeExecuteInParallel, openDevice } = require("auxstream")
${body}
main()
`

/** Without top-level await, which bundles in CommonJS do not have. Its exit code reports a failure. */
export const carefulProgram = `
import { AuxstreamError, defineKernel, maybeExecuteInParallel, openDevice } from "auxstream"
${body}
main().catch((error) => {
  console.log(error instanceof AuxstreamError ? error.code + ": " + error.message : "uncoded: " + error.stack)
})
`

/** In TypeScript, with the type annotations that a user would write. */
export const typedProgram = `
import { defineKernel, maybeExecuteInParallel, openDevice } from "auxstream"
import type { Device, DeviceArray, Event, HostKernel, Kernel, Stream } from "auxstream"
import { matmul } from "auxstream/blas"
${body}
const typed: Kernel<readonly ["float32", "inout float32*"]> = scale
export const onHost: HostKernel<typeof scale.signature> = (_launch, factor, values) => {
  values[0] = (values[0] ?? 0) * factor
}

export function doubled(device: Device, stream: Stream, values: DeviceArray<"float32">): [Event, void] {
  const [done] = maybeExecuteInParallel(
    () => stream.record(),
    () => typed.launch({ grid: 1, block: [32, 1] }, 2, values),
    null,
    null,
  )
  return [done, device.synchronize()]
}

export const product: typeof matmul = matmul

await main()
`

/** A library's module whose exports have inferred types. Its declarations must be able to name them. */
export const libraryProgram = `
import {
  captureGraph, currentStream, defineKernel, executeInParallel, fork, fromFloat32, listDevices, maybeExecuteInParallel,
  openDevice, parallel, toFloat32,
} from "auxstream"
import type { Device, DeviceArray, DType, Graph, Kernel, PinnedArray } from "auxstream"
import { matmul } from "auxstream/blas"

export class Weights {
  arrays = new Map<string, DeviceArray>()
  pinned = new Set<PinnedArray>()
  graphs: Graph<DeviceArray>[] = []
  kernels: Kernel[] = []
  get = (name: string) => this.arrays.get(name)
  dtypes = () => [...this.arrays.values()].map((array) => array.dtype)
}

export const open = () => openDevice("host")
export const devices = () => listDevices()
export const ids = () => listDevices().map(({ id }) => id)
export const scale = defineKernel({ name: "scale", signature: ["float32", "inout float32*", "in bfloat16*"] })
export const launch = scale.launch.bind(scale)
export const make = (device: Device) => ({
  zeros: device.zeros("float32", 4),
  half: device.from(fromFloat32([1], "float16"), "float16"),
  pinned: device.pinned("int64", 1),
  stream: device.createStream(),
  event: device.createEvent({ timing: true }),
  memory: device.memory,
})
export const like = <D extends DType>(array: DeviceArray<D>) => array.device.empty(array.dtype, array.length)
export const read = <D extends DType>(array: DeviceArray<D>) => array.read()
export const view = <D extends DType>(array: PinnedArray<D>) => array.array
export const widen = (bits: Uint16Array) => toFloat32(bits, "bfloat16")
export const both = <A, B>(a: () => A, b: () => B) => maybeExecuteInParallel(a, b, null, null)
export const pair = (device: Device) => parallel([() => device.zeros("int8", 1), () => device.zeros("uint8", 1)])
export const later = (device: Device) => parallel([async () => device.zeros("int8", 1), () => 1])
export const fan = (device: Device) => executeInParallel(() => device.id, [() => 1, null], null, null)
export const side = (device: Device) => fork(() => device.zeros("uint16", 1))
export const graph = (device: Device) => captureGraph(() => device.zeros("uint32", 1))
export const graphLater = (device: Device) => captureGraph(async () => [device.zeros("float64", 1)] as const)
export const here = () => currentStream()
export const product = matmul
`

/** Uses what {@link libraryProgram} exports, by its declarations. */
export const libraryUser = `
import * as library from "./library.js"

const device = library.open()
const { zeros, half } = library.make(device)
const like: Promise<Uint16Array> = library.read(library.like(half))
export const numbers: Float32Array = library.widen(await like)
library.launch({ grid: 1, block: 1 }, 2, zeros, device.empty("bfloat16", 1))
const [left, right] = library.pair(device)
export const bytes: (Int8Array | Uint8Array)[] = [left.readSync(), right.readSync()]
export const graph: Uint32Array = library.graph(device).result.readSync()
export const dtypes: string[] = new library.Weights().dtypes()
`

/** The same with \`using\`. */
export const usingProgram = `
import { defineKernel, openDevice, parallel } from "auxstream"

const fill = defineKernel({
  name: "fill",
  signature: ["int32", "out int32*"],
  host: { source: "export function fill(launch, value, out) { out.fill(value) }" },
})

using device = openDevice("host")
using a = device.empty("int32", 2)
using b = device.empty("int32", 2)
parallel([() => fill.launch({ grid: 1, block: 1 }, 7, a), () => fill.launch({ grid: 1, block: 1 }, 9, b)])
const values: Int32Array = await a.read()
console.log([...values, ...(await b.read())].join(" "))
`

/** The output of {@link usingProgram}. */
export const printedByUsing = "7 7 9 9"

/** Imports the package and prints as JSON how many milliseconds that took and which native libraries it loaded. */
export const importProgram = `
const started = performance.now()
await import("auxstream")
const milliseconds = performance.now() - started
process.report.excludeNetwork = true
const native = process.report.getReport().sharedObjects.filter((path) => /\\.node$|koffi|libcuda|nvrtc|cublas/.test(path))
console.log(JSON.stringify({ milliseconds, native }))
`
