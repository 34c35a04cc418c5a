/** Rows about pieces of a given length: see ../pieces.ts. */

import { type Device, maybeExecuteInParallel } from "auxstream"
import { captured } from "./graphs.js"
import { spinFor } from "./kernels.js"
import { layered, type MakeRow } from "./row.js"

/** A batch takes about this long in sequence, and has from 1 to 32 fork-joins. */
const BATCH_MICROSECONDS = 2000
const MOST_LAYERS = 32
/** The most threads of a block. */
const block = 1024

/** So many blocks of this size run at a time on the whole device. */
const blocksAtATime = (device: Device) => spinFor.occupancy(device, { block }).blocks

/** Fork-joins one after the other; their branches take times in microseconds. */
function stack(device: Device, grid: number, longer: number, shorter: number, way: string) {
  const layers = Math.max(1, Math.min(MOST_LAYERS, Math.floor(BATCH_MICROSECONDS / (longer + shorter))))
  const [event0, event1] = [device.createEvent(), device.createEvent()]
  const aux = way === "parallel" ? device.createStream() : null
  const main = () => spinFor.launch({ grid, block }, longer * 1000)
  const other = () => spinFor.launch({ grid, block }, shorter * 1000)
  const queue = () => {
    for (let layer = 0; layer < layers; layer++) maybeExecuteInParallel(main, other, event0, event1, aux)
  }
  return { layers, queue }
}

/** pieces:LONGER:SHORTER:MODE:WAY: each kernel has blocks for half of the device. */
const pieces: MakeRow = (device, longer, shorter, mode, way = "") => {
  const grid = Math.max(1, Math.floor(blocksAtATime(device) / 2))
  const { layers, queue } = stack(device, grid, Number(longer), Number(shorter), way)
  return layered(device, mode === "graph" ? captured(device, queue) : queue, layers)
}

/** share:PERCENT:WAY: two kernels of 200 µs, each with blocks for so much of the device. */
const share: MakeRow = (device, percent, way = "") => {
  const grid = Math.max(1, Math.floor((blocksAtATime(device) * Number(percent)) / 100))
  const { layers, queue } = stack(device, grid, 200, 200, way)
  return layered(device, queue, layers)
}

/** By name. */
export const pieceRows: Readonly<Record<string, MakeRow>> = { pieces, share }
