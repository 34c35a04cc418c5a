/**
 * Makes the spans of the nodes of launched graphs, the waits between them, and the fork-joins that were captured: one for each
 * launch, because each launch may overlap differently.
 */
import type { GraphOutline } from "../runtime/order/observer/graph-outline.js"
import type { TraceRegion, TraceSpan, TraceWait } from "./data/data.js"
import { LaunchedGraph } from "./launched-graph.js"
import type { LoggedOperation } from "./record/log.js"
import { hasLoop, otherIterations } from "./record/loops.js"

/** Writable views of the data's objects while they are made. */
export type Draft<T> = { -readonly [K in keyof T]: T[K] }

/** What the nodes become part of. */
export interface GraphTarget {
  readonly spans: TraceSpan[]
  readonly regions: TraceRegion[]
  addWait(wait: TraceWait): void
  /** The lane of a branch of the graphs that are launched on a stream. */
  laneOf(operation: LoggedOperation, branch: number): number
  /** A time of the log in nanoseconds. */
  time(milliseconds: number): number
  isHost(operation: LoggedOperation): boolean
}

/** A launch, while its nodes are made. */
interface Launch {
  readonly operation: LoggedOperation
  readonly span: TraceSpan
  readonly index: number
  readonly graph: LaunchedGraph
  /** The indices of the graph's fork-joins in the trace. */
  readonly regions: Map<number, number>
}

/** An operation of a graph in one launch: the indices of the spans that began first and ended last. */
interface Ran {
  first: number
  last: number
}

export class GraphLaunches {
  readonly #target: GraphTarget
  readonly #graphs = new Map<GraphOutline, LaunchedGraph>()

  constructor(target: GraphTarget) {
    this.#target = target
  }

  /** Adds the nodes of a launch, whose own span has this index. */
  add(operation: LoggedOperation, span: TraceSpan, index: number): void {
    const nodes = operation.nodes ?? []
    const { spans } = this.#target
    const graph = operation.outline && this.#graphOf(operation.outline)
    const found = graph?.match(nodes, !this.#target.isHost(operation))
    const launch = graph && { operation, span, index, graph, regions: new Map<number, number>() }
    const ran = new Map<number, Ran>()
    nodes.forEach((node, place) => {
      const own = this.#span(operation, span, index, node)
      const at = found?.[place]
      const next = spans.length
      if (launch !== undefined && at !== undefined) {
        this.#place(own, at, launch)
        note(spans, ran, at, own, next)
      }
      spans.push(own)
    })
    if (launch !== undefined) this.#connect(launch, ran)
    const isWhole = operation.outline === undefined || this.#target.isHost(operation) || !hasLoop(operation.outline)
    if (!isWhole) this.#addOtherIterations(span, index, nodes, found)
  }

  #addOtherIterations(
    span: TraceSpan,
    parent: number,
    nodes: NonNullable<LoggedOperation["nodes"]>,
    found: readonly (number | undefined)[] | undefined,
  ): void {
    const { spans } = this.#target
    const recorded = nodes.map((_, place) => {
      const { stream, start, end } = spans[parent + 1 + place] ?? span
      return { stream, start, end, isInside: found?.[place] === undefined }
    })
    for (const iterations of otherIterations(recorded)) {
      const { queued, region, branch } = span
      const own: Draft<TraceSpan> = { kind: "node", name: "other iterations", queued, parent, ...iterations }
      if (region !== undefined) own.region = region
      if (branch !== undefined) own.branch = branch
      spans.push(own)
    }
  }

  #graphOf(outline: GraphOutline): LaunchedGraph {
    const graph = this.#graphs.get(outline) ?? new LaunchedGraph(outline)
    this.#graphs.set(outline, graph)
    return graph
  }

  #span(
    operation: LoggedOperation,
    { queued, region, branch }: TraceSpan,
    parent: number,
    node: NonNullable<LoggedOperation["nodes"]>[number],
  ): Draft<TraceSpan> {
    const [start, end] = [this.#target.time(node.start), this.#target.time(node.end)]
    const stream = this.#target.laneOf(operation, node.branch)
    const span: Draft<TraceSpan> = { stream, kind: "node", name: node.name, queued, start, end, parent }
    if (node.iteration !== undefined) span.iteration = node.iteration
    if (region !== undefined) span.region = region
    if (branch !== undefined) span.branch = branch
    return span
  }

  /** Notes which operation of its graph a node is, and in which fork-join that is. */
  #place(span: Draft<TraceSpan>, at: number, launch: Launch): void {
    span.node = at
    const operation = launch.graph.operations[at]
    if (operation?.region === undefined) return
    span.region = this.#regionOf(operation.region, launch)
    if (operation.branch === undefined) delete span.branch
    else span.branch = operation.branch
  }

  /** The fork-join of a launch, added to the trace when it first runs something. */
  #regionOf(region: number, launch: Launch): number {
    const known = launch.regions.get(region)
    if (known !== undefined) return known
    const { name, parent: outer, branch: part, ...captured } = launch.graph.regions[region] ?? UNKNOWN
    const { mode, reason, ...policy } = howItRan(captured, launch.span)
    const parent = outer === undefined ? launch.span.region : this.#regionOf(outer, launch)
    const branch = outer === undefined ? launch.span.branch : part
    const { queued } = launch.span
    const index = this.#target.regions.push({
      ...{ name, mode, reason, device: 0, called: { start: queued, end: queued }, streams: [], graph: launch.index },
      ...policy,
      ...(parent === undefined ? {} : { parent }),
      ...(parent === undefined || branch === undefined ? {} : { branch }),
    })
    launch.regions.set(region, index - 1)
    return index - 1
  }

  /** Adds what lies between the nodes: the waits of one lane for another, and what each fork-join consists of. */
  #connect(launch: Launch, ran: ReadonlyMap<number, Ran>): void {
    const { spans, regions } = this.#target
    const own = spans.slice(launch.index + 1)
    const previous = endsBefore(own)
    for (const [at, { first }] of ran) {
      for (const before of launch.graph.before(at, (one) => ran.has(one))) {
        this.#addWait(spans[ran.get(before)?.last ?? -1], spans[first], previous)
      }
    }
    const streams = streamsIn(own, regions)
    for (const [place, index] of launch.regions) {
      const beside = (launch.graph.regions[place]?.beside ?? []).flatMap((one) => ran.get(one)?.first ?? [])
      const region = regions[index]
      if (region === undefined) continue
      const whole = { ...region, streams: streams.get(index) ?? [] }
      regions[index] = beside.length === 0 ? whole : { ...whole, beside }
    }
  }

  #addWait(
    from: TraceSpan | undefined,
    to: TraceSpan | undefined,
    previous: ReadonlyMap<TraceSpan | undefined, number>,
  ): void {
    if (from === undefined || to === undefined || from.stream === to.stream) return
    const time = Math.min(from.end, to.start)
    const wentOn = Math.min(to.start, Math.max(time, previous.get(to) ?? 0))
    const region = Math.max(from.region ?? -1, to.region ?? -1)
    this.#target.addWait({
      from: { stream: from.stream, time },
      to: { stream: to.stream, time: wentOn },
      sent: true,
      ...(region < 0 ? {} : { region }),
    })
  }
}

const UNKNOWN = { name: "parallel", mode: "parallel", reason: "", parent: undefined, branch: undefined } as const

/** A policy may have the operations of a graph run one after another, although they were captured side by side. */
function howItRan(
  { mode, reason }: Pick<TraceRegion, "mode" | "reason">,
  { overlap }: TraceSpan,
): Pick<TraceRegion, "mode" | "reason" | "policy"> {
  if (overlap === undefined || mode === "sequential") return { mode, reason }
  const isChained = overlap.mode === "sequential"
  return { mode: overlap.mode, reason: isChained ? "policy" : reason, policy: overlap.policy }
}

function note(spans: readonly TraceSpan[], ran: Map<number, Ran>, at: number, span: TraceSpan, index: number): void {
  const known = ran.get(at)
  if (known === undefined) {
    ran.set(at, { first: index, last: index })
    return
  }
  if (span.start < (spans[known.first]?.start ?? 0)) known.first = index
  if (span.end > (spans[known.last]?.end ?? 0)) known.last = index
}

/** When the lane of each node had ended the node before it. */
function endsBefore(nodes: readonly TraceSpan[]): Map<TraceSpan | undefined, number> {
  const lanes = new Map<number, number>()
  const before = new Map<TraceSpan | undefined, number>()
  for (const node of nodes.toSorted((a, b) => a.start - b.start)) {
    const { stream, end } = node
    before.set(node, lanes.get(stream) ?? 0)
    lanes.set(stream, Math.max(lanes.get(stream) ?? 0, end))
  }
  return before
}

/** The lanes of each fork-join, that of its main function first. */
function streamsIn(spans: readonly TraceSpan[], regions: readonly TraceRegion[]): Map<number, number[]> {
  const found = new Map<number, number[]>()
  for (const { stream, region: inner, branch: part } of spans) {
    let branch = part
    for (let region = inner; region !== undefined; region = regions[region]?.parent) {
      const streams = found.get(region) ?? []
      found.set(region, streams)
      if (!streams.includes(stream)) streams.splice(branch === 0 ? 0 : streams.length, 0, stream)
      branch = regions[region]?.branch
    }
  }
  return found
}
