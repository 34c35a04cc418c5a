/** The figures of a trace in words: a few sentences, each led by the number that matters. */

import type { TraceData, TraceRegion } from "../../data/data.js"
import type { DeviceFigures, TraceFigures } from "../../data/figures.js"
import { formatCount, formatNumberOf, formatShare, formatTime } from "./times.js"

export interface Figure {
  readonly value: string
  /** Follows the value: `"62 %"`, `"of the work that could overlap did, on cuda:0"`. */
  readonly text: string
  /** More about it, in smaller print. */
  readonly detail?: string
  readonly tone?: "good" | "bad"
}

/** What was traced: `"233 operations and 100 nodes of graphs on 6 streams in 25.6 s"`. */
export function headlineOf({ spans, duration }: TraceData): string {
  const nodes = spans.filter(({ parent }) => parent !== undefined).length
  const operations = formatNumberOf(spans.length - nodes, "operation")
  const ofGraphs = nodes > 0 ? ` and ${formatNumberOf(nodes, "node")} of graphs` : ""
  const streams = new Set(spans.filter(({ parent }) => parent === undefined).map(({ stream }) => stream)).size
  return `${operations}${ofGraphs} on ${formatNumberOf(streams, "stream")} in ${formatTime(duration)}`
}

export function summaryOf(data: TraceData, figures?: TraceFigures): Figure[] {
  const ofDevices = figures?.devices.map((device) => figureOfDevice(data, device)) ?? []
  const ofRegions = data.regions.length > 0 ? [figureOfRegions(data.regions, figures)] : []
  return [...ofDevices, ...ofRegions, ...path(data, figures), ...lost(data), cost(data)]
}

/** Overlap, and why nothing ran. */
function figureOfDevice(data: TraceData, { device, overlap, union, idle }: DeviceFigures): Figure {
  const id = data.devices[device]?.id ?? ""
  const idleTime = idle.host + idle.gaps + idle.waits + idle.unexplained
  const share = (time: number) => formatShare(time / Math.max(union + idleTime, 1))
  const causes = [
    ["host behind", idle.host],
    ["gaps", idle.gaps],
    ["waits", idle.waits],
    ["unexplained", idle.unexplained],
  ] as const
  const why = causes.flatMap(([cause, time]) => (time > 0 ? [`${cause} ${share(time)}`] : []))
  const detail = why.length > 0 ? `${share(idleTime)} idle: ${why.join(", ")}` : "never idle"
  if (overlap === undefined) return { value: "No overlap", text: `on ${id}: one stream ran`, detail }
  return { value: formatShare(overlap), text: `overlap on ${id}`, detail }
}

/** How many fork-joins ran how, and, if it is known, what they gained and lost. */
function figureOfRegions(regions: readonly TraceRegion[], figures: TraceFigures | undefined): Figure {
  const reasons = new Map<string, number>()
  for (const { mode, reason } of regions) if (mode === "sequential") add(reasons, reason, 1)
  const sequential = [...reasons.values()].reduce((sum, count) => sum + count, 0)
  const why = [...reasons].map(([reason, count]) => `${reason} ${formatCount(count)}`).join(", ")
  const modes = `${formatCount(regions.length - sequential)} in parallel`
  const how = sequential > 0 ? `${modes}, ${formatCount(sequential)} in sequence (${why})` : modes
  const count = formatNumberOf(regions.length, "fork-join")
  if (figures === undefined) return { value: count, text: "", detail: how }
  const gained = figures.regions.reduce((sum, region) => sum + region.gained, 0)
  return {
    value: formatTime(gained),
    text: "gained by fork-joins",
    detail: `${count}: ${how}${lossesOf(figures)}`,
    ...(gained > 0 && { tone: "good" }),
  }
}

/** What all fork-joins lost, by cause, the largest first. */
function lossesOf(figures: TraceFigures): string {
  const losses = new Map<string, number>()
  for (const { why, time } of figures.regions.flatMap((region) => region.lost)) add(losses, why, time)
  // What unequal branches leave uncovered cannot be gained by running them differently.
  const unequal = losses.get("unequal branches") ?? 0
  losses.delete("unequal branches")
  const rest = unequal > 0 ? `; unequal branches ${formatTime(unequal)}` : ""
  const total = [...losses.values()].reduce((sum, time) => sum + time, 0)
  return total > 0 ? `; lost ${formatTime(total)}: ${largest(losses, 4)}${rest}` : rest
}

/** The operations that determined the end. */
function path({ spans }: TraceData, figures: TraceFigures | undefined): Figure[] {
  const times = new Map<string, number>()
  for (const index of figures?.criticalPath ?? []) {
    const { name, start, end } = spans[index] ?? { name: "", start: 0, end: 0 }
    add(times, name, end - start)
  }
  if (figures === undefined || times.size === 0) return []
  const total = [...times.values()].reduce((sum, time) => sum + time, 0)
  const detail = `${formatNumberOf(figures.criticalPath.length, "operation")}: ${largest(times, 3)}`
  return [{ value: formatTime(total), text: "critical path", detail }]
}

/** The largest times with their names. */
function largest(times: ReadonlyMap<string, number>, most: number): string {
  const all = [...times].sort(([, a], [, b]) => b - a)
  const shown = all.slice(0, most).map(([name, time]) => `${name} ${formatTime(time)}`)
  return [...shown, ...(all.length > most ? ["…"] : [])].join(", ")
}

function add(sums: Map<string, number>, key: string, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value)
}

function cost({ cost, duration }: TraceData): Figure {
  const value = formatTime(cost.total / Math.max(cost.operations, 1))
  const share = formatShare(cost.total / Math.max(duration, 1))
  const detail = `${formatTime(cost.total)} for ${formatNumberOf(cost.operations, "operation")}, ${share} of the trace`
  return { value, text: "to trace an operation", detail }
}

function lost({ devices }: TraceData): Figure[] {
  return devices
    .filter((device) => device.lost > 0)
    .map(({ id, lost }) => ({
      value: formatNumberOf(lost, "record"),
      text: `lost on ${id}`,
      detail: "These operations are missing here and in the figures.",
      tone: "bad",
    }))
}
