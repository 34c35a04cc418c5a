/** What a viewer says of one thing in a trace: its name and its properties, as words. */

import type { TraceData, TracedOverlap, TracedPolicy, TraceRegion } from "../../data/data.js"
import type { RegionFigures, TraceFigures } from "../../data/figures.js"
import type { Interval } from "../nesting.js"
import type { Item } from "../search.js"
import { formatBytes, formatExactly, formatTime } from "./times.js"

export interface Description {
  readonly title: string
  /** What it is: `"kernel on aux, cuda:0"`. */
  readonly subtitle: string
  readonly facts: readonly (readonly [name: string, value: string])[]
}

/** When a thing began and ended; a fork-join's operations, if it queued any. */
export function intervalOf(data: TraceData, { kind, index }: Item): Interval {
  const nothing = { start: 0, end: 0 }
  if (kind === "span") return data.spans[index] ?? nothing
  if (kind === "call") return data.calls[index] ?? nothing
  const region = data.regions[index]
  return region?.ran ?? region?.called ?? nothing
}

export function describe(data: TraceData, item: Item, figures?: TraceFigures): Description {
  if (item.kind === "span") return describeSpan(data, item.index)
  if (item.kind === "call") return describeCall(data, item.index)
  return describeRegion(
    data,
    item.index,
    figures?.regions.find(({ region }) => region === item.index),
  )
}

/** Where a stream is: `"aux, cuda:0"`. */
export function nameOfStream({ streams, devices }: TraceData, index: number): string {
  const stream = streams[index]
  return `${stream?.name ?? "unknown stream"}, ${devices[stream?.device ?? 0]?.id ?? "unknown device"}`
}

/** How a fork-join ran: `"in parallel"`, `"in sequence: policy"`. */
export function modeOf({ mode, reason }: { readonly mode: string; readonly reason: string }): string {
  if (mode === "parallel") return "in parallel"
  return `in sequence: ${reason}`
}

/** What a bracket may say of its fork-join, the longest first. */
export function labelsOfRegion(region: TraceRegion): string[] {
  const mode = modeOf(region)
  return [`${region.name} · ${mode}`, mode, region.mode === "parallel" ? "parallel" : region.reason]
}

function describeSpan(data: TraceData, index: number): Description {
  const span = data.spans[index]
  if (span === undefined) return { title: "", subtitle: "", facts: [] }
  const { name, kind, stream, queued, start, end, region, parent, iteration, bytes, overlap } = span
  const facts: [string, string][] = [...timesOf({ start, end })]
  if (parent === undefined) facts.push(["queued", `${formatTime(Math.max(0, start - queued))} before it began`])
  if (parent !== undefined) facts.push(["graph", data.spans[parent]?.name ?? ""])
  if (iteration !== undefined) facts.push(["iteration", String(iteration)])
  const called = region === undefined ? undefined : data.regions[region]
  if (called !== undefined) facts.push(["fork-join", `${called.name}, ${modeOf(called)}`])
  if (overlap !== undefined) facts.push(["overlap policy", wordsOf(overlap)])
  if (bytes !== undefined) facts.push(["memory", formatBytes(bytes)])
  const what = kind === "node" ? "node of a graph" : kind
  return { title: name, subtitle: `${what} on ${nameOfStream(data, stream)}`, facts }
}

/** How a policy had a graph run: `"decode", key 64: in sequence, decided`. */
function wordsOf({ mode, policy }: TracedOverlap): string {
  return `${nameOfPolicy(policy)}: ${mode === "parallel" ? "in parallel" : "in sequence"}, ${policy.phase}`
}

/** `"decode", key 64`. */
function nameOfPolicy({ name, key }: TracedPolicy): string {
  return `"${name}", key ${typeof key === "string" ? `"${key}"` : key}`
}

function describeCall(data: TraceData, index: number): Description {
  const call = data.calls[index]
  if (call === undefined) return { title: "", subtitle: "", facts: [] }
  const thread = call.thread === 0 ? "the main thread" : `worker thread ${call.thread}`
  return { title: call.name, subtitle: `call on ${thread}`, facts: timesOf(call) }
}

function describeRegion(data: TraceData, index: number, figures: RegionFigures | undefined): Description {
  const region = data.regions[index]
  if (region === undefined) return { title: "", subtitle: "", facts: [] }
  const { name, device, called, ran, streams, graph, policy } = region
  const facts: [string, string][] = ran === undefined ? [["operations", "none"]] : [...timesOf(ran)]
  const call = `${formatTime(called.end - called.start)} of the host's time, from ${formatExactly(called.start)}`
  facts.push(graph === undefined ? ["call", call] : ["graph", data.spans[graph]?.name ?? ""])
  facts.push(["streams", streams.map((stream) => data.streams[stream]?.name ?? "").join(", ")])
  if (policy !== undefined) facts.push(["overlap policy", `${nameOfPolicy(policy)}: ${policy.phase}`])
  if (figures !== undefined) facts.push(...gainsOf(figures))
  return { title: name, subtitle: `fork-join ${modeOf(region)}, on ${data.devices[device]?.id ?? ""}`, facts }
}

/** What a fork-join gained and lost, and why. */
export function gainsOf({ overlap, gained, lost, sequential }: RegionFigures): [string, string][] {
  const facts: [string, string][] = []
  if (overlap !== undefined) facts.push(["overlap", `${Math.round(overlap * 100)} %`])
  facts.push(["gained", formatTime(gained)])
  if (lost.length > 0) facts.push(["lost", lost.map(({ why, time }) => `${formatTime(time)} ${why}`).join(", ")])
  if (sequential !== undefined) facts.push(["in sequence", `${formatTime(sequential)} (median)`])
  return facts
}

const timesOf = ({ start, end }: Interval): [string, string][] => [
  ["time", formatExactly(end - start)],
  ["began", `at ${formatExactly(start)}`],
]
