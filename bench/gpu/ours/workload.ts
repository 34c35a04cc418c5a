/** Real pairs of branches, eager or captured, sequential or parallel. */

import { type Device, maybeExecuteInParallel, type DeviceArray } from "auxstream"
import { captured } from "./graphs.js"
import { over, random } from "./kernels.js"
import { layered, type Run } from "./row.js"

/** One layer of a model: two independent branches, and the step that needs both. */
export interface Layer {
  readonly main: () => void
  readonly aux: () => void
  readonly join: () => void
}

/** A workload to measure. */
export interface Workload {
  /** The number of layers that are queued before a wait. */
  readonly layers: number
  layer(index: number): Layer
  /** The layers' outputs, to compare. */
  readonly outputs: readonly DeviceArray<"bfloat16">[]
  /** The bytes that a layer's branches read from memory, if they are bound by its bandwidth. */
  readonly bytes?: { readonly main: number; readonly aux: number }
  /** The same outputs computed in another way, to compare. */
  readonly reference?: () => Workload
}

const ways = ["main", "aux", "sequential", "parallel"] as const
type Way = (typeof ways)[number]

/** Prepares a workload's row: eager or captured; one branch alone, both in sequence, or both in parallel. */
export function workloadRow(device: Device, workload: Workload, mode: string, way: string): Run | string {
  const known = ways.find((known) => known === way)
  if (known === undefined) return `there is no way called ${way}, only ${ways.join(", ")}`
  const layers = layersOf(workload)
  const queue = queueing(device, layers, known)
  const operation = mode === "captured" ? captured(device, queue) : queue
  if (known === "sequential" || known === "parallel") checkResult(device, workload, layers, operation)
  operation()
  device.synchronize()
  return layered(device, operation, workload.layers, bytesOf(workload, known))
}

/** All layers, with fork-joins that overlap. */
export function queueingBoth(device: Device, workload: Workload): () => void {
  return queueing(device, layersOf(workload), "parallel")
}

/** All layers of a workload. */
export const layersOf = (workload: Workload): Layer[] =>
  Array.from({ length: workload.layers }, (_, index) => workload.layer(index))

function bytesOf({ bytes }: Workload, way: Way): number | undefined {
  if (bytes === undefined) return undefined
  return way === "main" || way === "aux" ? bytes[way] : bytes.main + bytes.aux
}

function queueing(device: Device, layers: readonly Layer[], way: Way): () => void {
  if (way === "main") return () => layers.forEach((layer) => layer.main())
  if (way === "aux") return () => layers.forEach((layer) => layer.aux())
  const aux = way === "parallel" ? device.createStream() : null
  const [event0, event1] = [device.createEvent(), device.createEvent()]
  return () => {
    for (const { main, aux: beside, join } of layers) {
      maybeExecuteInParallel(main, beside, event0, event1, aux)
      join()
    }
  }
}

/**
 * Checks the results: every way must give the same bits as sequential eager calls, and these must be finite and close to the
 * results of another computation.
 */
function checkResult(device: Device, workload: Workload, layers: readonly Layer[], operation: () => void): void {
  const expected = resultOf(workload, queueing(device, layers, "sequential"))
  const found = resultOf(workload, operation)
  if (expected.some((bits, index) => bits !== found[index])) {
    throw new Error("the result side by side, or as a graph, differs from the result in sequence")
  }
  const isNumber = (bits: number) => (bits & 0x7f80) !== 0x7f80
  if (!expected.every(isNumber) || expected.every((bits) => bits === 0)) {
    throw new Error("the result is all zeros, or has infinities or NaN")
  }
  const reference = workload.reference?.()
  if (reference !== undefined) {
    checkClose(expected, resultOf(reference, queueing(device, layersOf(reference), "sequential")))
  }
}

/** All bits of the outputs. */
function resultOf({ outputs }: Workload, queue: () => void): Uint16Array {
  for (const output of outputs) output.fill(0)
  queue()
  const all = new Uint16Array(outputs.reduce((total, { length }) => total + length, 0))
  let end = 0
  for (const output of outputs) {
    all.set(output.readSync(), end)
    end += output.length
  }
  return all
}

/** The allowed relative difference: the other computation rounds to eight bits at other places. */
const tolerance = 0.01

function checkClose(found: Uint16Array, expected: Uint16Array): void {
  let [size, error] = [0, 0]
  expected.forEach((bits, index) => {
    const value = toNumber(bits)
    size += value ** 2
    error += (value - toNumber(found[index] ?? NaN)) ** 2
  })
  const relative = Math.sqrt(error / size)
  if (!(relative <= tolerance))
    throw new Error(`the result differs by ${relative} of its size from that of another way`)
}

const bits32 = new Uint32Array(1)
const float32 = new Float32Array(bits32.buffer)

/** The value of a bfloat16's bits. */
function toNumber(bits: number): number {
  bits32[0] = bits << 16
  return float32[0] ?? NaN
}

let seed = 0

/** An array of numbers between -scale and scale. */
export function randomArray(device: Device, length: number, scale: number): DeviceArray<"bfloat16"> {
  const array = device.empty("bfloat16", length)
  random.launch(over(Math.min(length, 1 << 24)), length, ++seed, scale, array)
  return array
}
