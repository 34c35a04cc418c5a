/** Real pairs of branches, eager or captured, one after the other or side by side. */

import { type Device, maybeExecuteInParallel, type DeviceArray } from "auxstream"
import { captured, noGraphs } from "./graphs.js"
import { over, random } from "./kernels.js"
import { layered, type Run } from "./row.js"

/** One layer of a model: two branches that need nothing of each other, and what needs both. */
export interface Layer {
  readonly main: () => void
  readonly aux: () => void
  readonly join: () => void
}

/** What is measured. */
export interface Workload {
  /** How many layers are queued before their end is awaited. */
  readonly layers: number
  layer(index: number): Layer
  /** What the layers have written, to compare. */
  readonly output: DeviceArray<"bfloat16">
}

const ways = ["main", "aux", "sequential", "parallel"] as const
type Way = (typeof ways)[number]

/** Makes a workload's row ready: eager or captured; a branch alone, both in sequence, or both side by side. */
export function workloadRow(device: Device, workload: Workload, mode: string, way: string): Run | string {
  const known = ways.find((known) => known === way)
  if (known === undefined) return `there is no way called ${way}, only ${ways.join(", ")}`
  const layers = Array.from({ length: workload.layers }, (_, index) => workload.layer(index))
  const queue = queueing(device, layers, known)
  if (known === "parallel") checkResult(device, workload, layers)
  queue()
  device.synchronize()
  const operation = mode === "captured" ? captured(queue) : queue
  return operation === undefined ? noGraphs : layered(device, operation, workload.layers)
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

/** What is fast and wrong is worth nothing: both ways have to give the same bits, and numbers. */
function checkResult(device: Device, { output }: Workload, layers: readonly Layer[]): void {
  const results = (["sequential", "parallel"] as const).map((way) => {
    output.fill(0)
    queueing(device, layers, way)()
    return output.readSync()
  })
  const [sequential, parallel] = results
  if (sequential === undefined || parallel === undefined) return
  if (sequential.some((bits, index) => bits !== parallel[index])) {
    throw new Error("side by side gave another result than one after the other")
  }
  const isNumber = (bits: number) => (bits & 0x7f80) !== 0x7f80
  if (!sequential.every(isNumber) || sequential.every((bits) => bits === 0)) {
    throw new Error("the result is no result: zeros, infinities or what is no number")
  }
}

let seed = 0

/** An array of numbers between -scale and scale. */
export function randomArray(device: Device, length: number, scale: number): DeviceArray<"bfloat16"> {
  const array = device.empty("bfloat16", length)
  random.launch(over(Math.min(length, 1 << 24)), length, ++seed, scale, array)
  return array
}
