/**
 * Writes a trace for Perfetto's viewer (https://ui.perfetto.dev) and its SQL: the host's calls on their threads; for each device
 * a track for each stream, one for the fork-joins, and a counter of running operations; arrows from records to waits.
 */

import type { TraceData } from "../data/data.js"
import { familyOfCalls, familyOfRegions, familyOfSpans, nest } from "../layout/nesting.js"
import { Flows } from "./perfetto-flows.js"
import type { Text } from "./perfetto-timeline.js"
import { Timeline } from "./perfetto-timeline.js"

/** The trace in Perfetto's TrackEvent format: the contents of a `.pftrace` file. */
export function toPerfetto(data: TraceData): Uint8Array {
  const timeline = new Timeline()
  const flows = new Flows(data)
  const name = `Node.js ${data.machine.node}`
  const host = timeline.addTrack({ name, is: "process", description: descriptionOf(data) })
  addThreads(timeline, data, host)
  addCalledRegions(timeline, data, host, flows)
  data.devices.forEach((_, device) => addDevice(timeline, data, device, flows))
  return timeline.finish()
}

function descriptionOf({ date, machine, duration, cost }: TraceData): string {
  const cores = `${machine.cores} cores of ${machine.cpu}, ${machine.platform}`
  return `${date}, ${cores}. Tracing cost ${cost.total} ns of host time for ${cost.operations} operations in ${duration} ns.`
}

function addThreads(timeline: Timeline, { calls }: TraceData, parent: number): void {
  const threads = new Set([0, ...calls.map((call) => call.thread)])
  for (const thread of [...threads].sort((a, b) => a - b)) {
    const name = thread === 0 ? "main thread" : `worker thread ${thread}`
    const indices = indicesOf(calls, (call) => call.thread === thread)
    timeline.addSlices(
      { name, parent, is: "thread", thread },
      {
        intervals: calls,
        nested: nest(calls, indices, familyOfCalls(calls)),
        describe: (index) => ({ name: calls[index]?.name ?? "", category: "call" }),
      },
    )
  }
}

function addCalledRegions(timeline: Timeline, { regions }: TraceData, parent: number, flows: Flows): void {
  const intervals = regions.map((region) => region.called)
  const called = indicesOf(regions, ({ graph }) => graph === undefined)
  const nested = nest(intervals, called, familyOfRegions(regions))
  const describe = (index: number) => ({ ...textOfRegion(regions[index], index), flows: [flows.ofRegion(index)] })
  timeline.addSlices({ name: "fork-joins, as called", parent }, { intervals, nested, describe })
}

function addDevice(timeline: Timeline, data: TraceData, device: number, flows: Flows): void {
  const { name, id, times, lost } = data.devices[device] ?? { name: "", id: "", times: "workers", lost: 0 }
  const description = `Times from ${times}.${lost > 0 ? ` The times of ${lost} operations were lost.` : ""}`
  const parent = timeline.addTrack({ name: `${id}: ${name}`, description, hasRanks: true })
  timeline.addCounter({ name: "running operations", parent, rank: 1 }, runningOperations(data, device))
  addRanRegions(timeline, data, device, parent, flows)
  const busy = new Set(data.spans.map((span) => span.stream))
  for (const stream of indicesOf(data.streams, (candidate) => candidate.device === device)) {
    if (busy.has(stream) || flows.marksOn(stream).length > 0) addStream(timeline, data, stream, parent, flows)
  }
}

/** The fork-joins of a device, from the beginning of the first operation to the end of the last one. */
function addRanRegions(timeline: Timeline, { regions }: TraceData, device: number, parent: number, flows: Flows): void {
  const intervals = regions.map((region) => region.ran ?? region.called)
  const indices = indicesOf(regions, (region) => region.device === device && region.ran !== undefined)
  const nested = nest(intervals, indices, familyOfRegions(regions))
  const describe = (index: number) => {
    const isCalled = regions[index]?.graph === undefined
    return { ...textOfRegion(regions[index], index), ...(isCalled ? { endingFlows: [flows.ofRegion(index)] } : {}) }
  }
  timeline.addSlices({ name: "fork-joins", parent, rank: 2 }, { intervals, nested, describe })
}

function textOfRegion(region: TraceData["regions"][number] | undefined, index: number): Text {
  if (region === undefined) return {}
  const { name, mode, reason, policy } = region
  const detail = { policy: policy?.name, policy_key: policy && String(policy.key), policy_phase: policy?.phase }
  return { name, category: mode, details: { region: index, mode, reason, ...detail } }
}

function addStream(timeline: Timeline, data: TraceData, stream: number, parent: number, flows: Flows): void {
  const { spans, streams } = data
  const indices = indicesOf(spans, (span) => span.stream === stream)
  timeline.addSlices(
    { name: streams[stream]?.name ?? "", parent, rank: 3 + stream },
    {
      intervals: spans,
      nested: nest(spans, indices, familyOfSpans(spans)),
      describe: (index) => ({ ...textOfSpan(data, index), ...flows.ofOperation(index) }),
      marks: flows.marksOn(stream),
    },
  )
}

function textOfSpan({ spans, regions }: TraceData, index: number): Text {
  const span = spans[index]
  if (span === undefined) return {}
  const { name, kind, queued, start, region, branch, node, iteration, bytes, overlap } = span
  const fork_join = region === undefined ? undefined : regions[region]?.name
  const details = {
    operation: index,
    queued_ns: queued,
    queued_for_ns: start - queued,
    region,
    fork_join,
    function: branch,
    node,
    iteration,
    bytes,
    overlap_mode: overlap?.mode,
    policy: overlap?.policy.name,
    policy_key: overlap && String(overlap.policy.key),
    policy_phase: overlap?.policy.phase,
  }
  return { name, category: kind, details }
}

/** When the number of a device's running operations changes, and to what. Of graphs, their nodes count. */
function runningOperations({ spans, streams }: TraceData, device: number): [number, number][] {
  const outer = new Set(spans.map((span) => span.parent))
  const changes = new Map<number, number>()
  const change = (time: number, by: number) => changes.set(time, (changes.get(time) ?? 0) + by)
  spans.forEach((span, index) => {
    if (streams[span.stream]?.device !== device || outer.has(index)) return
    change(span.start, 1)
    change(span.end, -1)
  })
  let running = 0
  return [...changes].sort(([a], [b]) => a - b).map(([time, by]) => [time, (running += by)])
}

function indicesOf<T>(all: readonly T[], matches: (one: T) => boolean): number[] {
  return all.flatMap((one, index) => (matches(one) ? [index] : []))
}
