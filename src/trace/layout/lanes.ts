/**
 * The lanes of a trace: for each device one for its fork-joins and one for each stream, with the branches of graphs below the
 * stream on which they were launched; then one for each thread of the host.
 */

import type { TraceData } from "../data/data.js"
import { type Interval, familyOfCalls, familyOfRegions, familyOfSpans, nest } from "./nesting.js"
import { type Row, rowsOf } from "./rows.js"

/** What the boxes of a lane stand for: indices of spans, regions or calls. */
export type LaneKind = "span" | "region" | "call"

export interface Lane {
  readonly kind: LaneKind
  readonly label: string
  /** The index of its stream, if it is one. */
  readonly stream?: number
  /** Whether it is a branch of graphs, shown below the stream that launched them. */
  readonly isBranch: boolean
  readonly rows: readonly Row[]
}

/** The lanes of one device, or of the host's threads. */
export interface LaneGroup {
  readonly label: string
  readonly detail: string
  readonly lanes: readonly Lane[]
}

const TIMES = { cupti: "times from CUPTI", events: "times from CUDA events", workers: "times from the workers" }

export function lanesOf(data: TraceData): LaneGroup[] {
  const spansOf: number[][] = data.streams.map(() => [])
  data.spans.forEach((span, index) => spansOf[span.stream]?.push(index))
  const devices = data.devices.map(({ id, name, times }, device) => {
    const streams = inOrder(data, device).flatMap((placed) => laneOfStream(data, placed, spansOf[placed.stream] ?? []))
    return { label: id, detail: `${name}, ${TIMES[times]}`, lanes: [...regionLanes(data, device), ...streams] }
  })
  const calls = callLanes(data)
  const host = { label: "Node.js", detail: "calls that took time", lanes: calls }
  return [...devices, ...(calls.length > 0 ? [host] : [])].filter((group) => group.lanes.length > 0)
}

interface PlacedStream {
  readonly stream: number
  readonly isBranch: boolean
}

/** The streams of a device, each before the branches of the graphs that were launched on it. */
function inOrder({ streams, spans }: TraceData, device: number): PlacedStream[] {
  const owners = new Map<number, number>()
  for (const { stream, parent } of spans) {
    const owner = parent === undefined ? undefined : spans[parent]?.stream
    if (owner !== undefined && owner !== stream && !owners.has(stream)) owners.set(stream, owner)
  }
  const own = [...streams.keys()].filter((stream) => streams[stream]?.device === device)
  const isBranch = (stream: number) => streams[stream]?.id === undefined && owners.has(stream)
  const branchesOf = (stream: number) => own.filter((other) => isBranch(other) && owners.get(other) === stream)
  return own.flatMap((stream) =>
    isBranch(stream)
      ? []
      : [{ stream, isBranch: false }, ...branchesOf(stream).map((branch) => ({ stream: branch, isBranch: true }))],
  )
}

/** None for a stream that ran nothing. */
function laneOfStream(
  { streams, spans }: TraceData,
  { stream, isBranch }: PlacedStream,
  indices: readonly number[],
): Lane[] {
  if (indices.length === 0) return []
  const rows = rowsOf(spans, nest(spans, indices, familyOfSpans(spans)))
  return [{ kind: "span", label: streams[stream]?.name ?? "", stream, isBranch, rows }]
}

function regionLanes({ regions }: TraceData, device: number): Lane[] {
  const intervals: Interval[] = regions.map((region) => region.ran ?? region.called)
  const indices = [...regions.keys()].filter((index) => regions[index]?.device === device)
  if (indices.length === 0) return []
  const rows = rowsOf(intervals, nest(intervals, indices, familyOfRegions(regions)))
  return [{ kind: "region", label: "fork-joins", isBranch: false, rows }]
}

function callLanes({ calls }: TraceData): Lane[] {
  const threads = [...new Set(calls.map((call) => call.thread))].sort((a, b) => a - b)
  return threads.map((thread) => {
    const indices = [...calls.keys()].filter((index) => calls[index]?.thread === thread)
    const label = thread === 0 ? "main thread" : `worker thread ${thread}`
    return { kind: "call", label, isBranch: false, rows: rowsOf(calls, nest(calls, indices, familyOfCalls(calls))) }
  })
}
