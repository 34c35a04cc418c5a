/**
 * Makes fresh decisions about captured work, and measures both ways of it beside them: whether a policy finds the faster way,
 * and what that costs.
 */
import { captureGraph, type Device, type Graph, measuredOverlap, withMultiStream } from "auxstream"

/** Smaller differences count as none: then either way is right. */
const LEAST = { relative: 0.05, microseconds: 1 } as const
/** A policy that has not decided after so many launches does not decide. */
const MOST_LAUNCHES = 400
/** Pairs of launches, one each way, that are compared: at the beginning, and beside each decision, because machines drift. */
const PAIRS = { first: 5, each: 3 } as const

export interface Effort {
  /** How many fresh decisions to make at most. */
  readonly decisions: number
  /** About how long to take in all. */
  readonly seconds: number
}

/** What was found about one piece of work. Times are microseconds from a launch until the device is done. */
export interface Contest {
  /** Medians of launches, one each way alternately. */
  readonly sequential: number
  readonly parallel: number
  /** The median of sequential ÷ parallel of each pair. */
  readonly speedUp: number
  /** The way that is faster; undefined if both are about as fast. */
  readonly faster: "parallel" | "sequential" | undefined
  readonly decisions: number
  readonly decidedParallel: number
  /** Decisions for the faster way; all of them if there is none. */
  readonly right: number
  /** The mean number of launches before a decision. */
  readonly launches: number
  /** The calling thread's time for a launch, in microseconds: without a policy, while it is measured, and once decided. */
  readonly host: { readonly without: number; readonly measured: number; readonly decided: number }
}

/** @param queue queues the work, with fork-joins that overlap */
export function contest(device: Device, queue: () => void, { decisions, seconds }: Effort): Contest {
  const end = performance.now() + seconds * 1000
  using parallel = captureGraph(queue, { device })
  using sequential = captureGraph(() => withMultiStream(false, queue), { device })
  const hosts = { without: [] as number[], measured: [] as number[], decided: [] as number[] }
  compare(parallel, sequential, PAIRS.first, []) // Warms up.
  const pairs = compare(parallel, sequential, PAIRS.first, hosts.without)
  const modes: (string | undefined)[] = []
  let launches = 0
  while (modes.length < decisions && (modes.length < 3 || performance.now() < end)) {
    const { mode, count } = decide(device, queue, hosts)
    modes.push(mode)
    launches += count
    pairs.push(...compare(parallel, sequential, PAIRS.each, hosts.without))
  }
  const speedUp = median(pairs.map(([one, other]) => other / one))
  const medians = { parallel: median(pairs.map(([one]) => one)), sequential: median(pairs.map(([, other]) => other)) }
  const faster = fasterOf(medians, speedUp)
  return {
    ...medians,
    speedUp,
    faster,
    decisions: modes.length,
    decidedParallel: modes.filter((mode) => mode === "parallel").length,
    right: modes.filter((mode) => mode !== undefined && (faster === undefined || mode === faster)).length,
    launches: launches / modes.length,
    host: { without: median(hosts.without), measured: median(hosts.measured), decided: median(hosts.decided) },
  }
}

function fasterOf(medians: { readonly parallel: number; readonly sequential: number }, speedUp: number) {
  const isClear =
    Math.abs(Math.log(speedUp)) > Math.log(1 + LEAST.relative) &&
    Math.abs(medians.sequential - medians.parallel) > LEAST.microseconds
  if (!isClear) return undefined
  return speedUp > 1 ? "parallel" : "sequential"
}

/** Launches both in turn, each of them first in every second pair. @returns the times of each pair */
function compare(
  parallel: Graph<void>,
  sequential: Graph<void>,
  count: number,
  host: number[],
): [parallel: number, sequential: number][] {
  return Array.from({ length: count }, (_, pair): [number, number] => {
    if (pair % 2 === 0) return [timed(parallel, host), timed(sequential, host)]
    const second = timed(sequential, host)
    return [timed(parallel, host), second]
  })
}

/** A fresh policy decides about a fresh graph. */
function decide(device: Device, queue: () => void, hosts: { readonly measured: number[]; readonly decided: number[] }) {
  const overlap = measuredOverlap({ name: "fresh" })
  using graph = captureGraph(queue, { device, overlap, key: "work" })
  let count = 0
  while (graph.overlap?.policy.phase !== "decided" && count < MOST_LAUNCHES) {
    count++
    const before: number[] = []
    timed(graph, before)
    if (graph.overlap?.policy.phase === "measuring") hosts.measured.push(...before)
  }
  for (let launch = 0; launch < 3; launch++) timed(graph, hosts.decided)
  const mode = graph.overlap?.policy.phase === "decided" ? graph.overlap.mode : undefined
  return { mode, count }
}

/** Launches once, and waits. @returns microseconds until the device is done */
function timed(graph: Graph<void>, host: number[]): number {
  const started = performance.now()
  graph.launch()
  host.push((performance.now() - started) * 1000)
  graph.device.synchronize()
  return (performance.now() - started) * 1000
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2
}
