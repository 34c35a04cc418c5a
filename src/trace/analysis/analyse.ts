/** All figures of a trace. */
import type { TraceData } from "../data/data.js"
import type { DeviceFigures, TraceFigures } from "../data/figures.js"
import { idleOf } from "./idle.js"
import { overlapOf } from "./intervals.js"
import { groupBy, leavesOf, type Leaf } from "./leaves.js"
import { blocking, pathTo } from "./path.js"
import { Readinesses } from "./readiness.js"
import { regionFigures } from "./regions.js"

export function analyse(data: TraceData): TraceFigures {
  const leaves = leavesOf(data)
  const readinesses = new Readinesses(data, leaves)
  const byDevice = groupBy(leaves, ({ stream }) => data.streams[stream]?.device ?? -1)
  return {
    total: overlapOf(lanesOf(leaves)),
    devices: data.devices.map((_, device) => deviceFigures(device, byDevice.get(device) ?? [], readinesses)),
    regions: regionFigures(data, leaves, readinesses),
    criticalPath: criticalPath(data, leaves, readinesses),
  }
}

function deviceFigures(device: number, leaves: readonly Leaf[], readinesses: Readinesses): DeviceFigures {
  return { device, ...overlapOf(lanesOf(leaves)), idle: idleOf(leaves, readinesses) }
}

function lanesOf(leaves: readonly Leaf[]): Leaf[][] {
  return [...groupBy(leaves, ({ stream }) => stream).values()]
}

function criticalPath({ calls }: TraceData, leaves: readonly Leaf[], readinesses: Readinesses): number[] {
  const last = leaves.reduce<Leaf | undefined>(
    (latest, leaf) => (latest && latest.end >= leaf.end ? latest : leaf),
    undefined,
  )
  if (last === undefined) return []
  return pathTo(last, 0, readinesses, blocking(calls, leaves)).leaves.map(({ index }) => index)
}
