/** Fresh decisions of a policy about eager workloads: policy:WORKLOAD:SIZE:DECISIONS:LATER:SECONDS. */

import { type Device, maybeExecuteInParallel } from "auxstream"
import { contest, type Piece, type Way } from "../../eager-decisions.js"
import type { Figures, MakeRow } from "./row.js"
import { layersOf, type Workload } from "./workload.js"

type MakeWorkload = (device: Device, size: number) => Workload

/** An operation is a whole contest, so a batch of one is enough. */
export function policyRow(workloads: Readonly<Record<string, MakeWorkload>>): MakeRow {
  return (device, name = "", size = "", decisions = "", later = "", seconds = "") => {
    const make = workloads[name]
    if (make === undefined) return `there is no workload called ${name}`
    const piece = pieceOf(device, make(device, Number(size)))
    return (): Figures => {
      const found = contest(piece, { decisions: Number(decisions), later: Number(later), seconds: Number(seconds) })
      const { faster, loss, control, parallel, ...others } = found
      return {
        nanoseconds: parallel * 1000,
        ...others,
        parallel,
        // JSON has numbers only: 1 if side by side is faster, -1 if in sequence is, 0 if neither.
        faster: faster === undefined ? 0 : faster === "parallel" ? 1 : -1,
        lossRelative: loss.relative,
        lossMicroseconds: loss.microseconds,
        controlRelative: control.relative,
      }
    }
  }
}

/** All layers, and then a wait for the device. */
function pieceOf(device: Device, workload: Workload): Piece {
  const layers = layersOf(workload)
  const [aux, event0, event1] = [device.createStream(), device.createEvent(), device.createEvent()]
  const call = (main: () => void, beside: () => void, way: Way) => {
    if (typeof way === "object") {
      maybeExecuteInParallel(main, beside, event0, event1, aux, { overlap: way, key: "layer" })
    } else maybeExecuteInParallel(main, beside, event0, event1, way === "parallel" ? aux : null)
  }
  return {
    calls: layers.length,
    queue(way) {
      for (const { main, aux: beside, join } of layers) {
        call(main, beside, way)
        join()
      }
    },
    settle: () => device.defaultStream.synchronize(),
  }
}
