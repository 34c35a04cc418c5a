/**
 * What each fork-join gained and lost, and why. What could be gained is all the time that the shorter branches took. The time
 * lost is the region's whole time less its longest branch; it is split along the path that determined the region's end.
 */
import type { TraceData, TraceRegion } from "../data/data.js"
import type { LossReason, RegionFigures } from "../data/figures.js"
import { type Interval, overlapOf, coverage } from "./intervals.js"
import { groupBy, type Leaf, median } from "./leaves.js"
import { type Path, pathTo } from "./path.js"
import type { Readinesses } from "./readiness.js"

/** A region's operations, by function. */
interface Parts {
  readonly region: number
  readonly branches: ReadonlyMap<number, readonly Leaf[]>
  /** Equal for regions that ran the same operations. */
  readonly key: string
}

export function regionFigures(data: TraceData, leaves: readonly Leaf[], readinesses: Readinesses): RegionFigures[] {
  const inside = leavesByRegion(data.regions, leaves)
  const beside = new Beside(leaves)
  const all = data.regions.map((region, index) => partsOf(region, index, inside[index] ?? [], beside))
  const sequential = groupBy(
    all.filter((parts) => isSequential(data, parts)),
    ({ key }) => key,
  )
  const alone = new Map(Array.from(sequential, ([key, same]) => [key, usualOf(same)]))
  return all.map((parts) => {
    const same = parts.branches.size > 1 ? alone.get(parts.key) : undefined
    return figuresOf(data.regions[parts.region], parts, same, readinesses)
  })
}

/** How long the same fork-join took in sequence: medians. */
interface Usual {
  readonly whole: number
  /** The time that each function's operations cover. */
  readonly branches: ReadonlyMap<number, number>
}

function usualOf(alone: readonly Parts[]): Usual {
  const indices = new Set(alone.flatMap(({ branches }) => [...branches.keys()]))
  const medianOf = (index: number) => median(alone.map(({ branches }) => coverage(branches.get(index) ?? [])))
  return {
    whole: median(alone.map(({ branches }) => wallOf([...branches.values()].flat()))),
    branches: new Map(Array.from(indices, (index) => [index, medianOf(index)])),
  }
}

function figuresOf(
  region: TraceRegion | undefined,
  { region: index, branches }: Parts,
  alone: Usual | undefined,
  readinesses: Readinesses,
): RegionFigures {
  const lanes = [...branches.values()]
  const overlap = overlapOf(lanes)
  const isParallel = region?.mode === "parallel"
  const lost = isParallel
    ? parallelLosses(branches, alone, readinesses)
    : { sequential: overlap.busy - overlap.longest }
  const reasons = Object.entries(lost) as [LossReason, number][]
  return {
    ...overlap,
    region: index,
    gained: overlap.busy - overlap.union,
    lost: reasons
      .filter(([, time]) => time > 0)
      .map(([why, time]) => ({ why, time: Math.round(time) }))
      .toSorted((a, b) => b.time - a.time),
    ...(alone === undefined ? {} : { sequential: alone.whole }),
  }
}

function parallelLosses(
  branches: ReadonlyMap<number, readonly Leaf[]>,
  alone: Usual | undefined,
  readinesses: Readinesses,
): Partial<Record<LossReason, number>> {
  const lanes = [...branches.values()]
  const leaves = lanes.flat()
  const last = leaves.reduce<Leaf | undefined>(
    (latest, leaf) => (latest && latest.end >= leaf.end ? latest : leaf),
    undefined,
  )
  if (last === undefined || lanes.length < 2) return {}
  const begin = Math.min(...rangeOf(leaves, "start"))
  const path = pathTo(last, begin, readinesses, () => undefined)
  const { busy, longest } = overlapOf(lanes)
  return {
    ...lossesOnPath(path, longest),
    "unequal branches": longest - busy / lanes.length,
    contention: contentionOf(branches, alone),
  }
}

/** Splits the time lost: what the path spent beside the operations of one branch. */
function lossesOnPath(
  { operations, host, latency, unexplained }: Path,
  longest: number,
): Partial<Record<LossReason, number>> {
  const pauses = host + latency + unexplained
  const lost = operations + pauses - longest
  // If the path has less work than the longest branch, that much of its pauses ran beside the branch.
  const share = pauses === 0 ? 0 : Math.min(1, Math.max(0, lost) / pauses)
  return {
    "launch gaps": (host + latency) * share,
    unexplained: unexplained * share,
    waits: Math.max(0, operations - longest),
  }
}

/** How much longer the branches took than where the same fork-join ran in sequence. */
function contentionOf(branches: ReadonlyMap<number, readonly Leaf[]>, alone: Usual | undefined): number {
  let slower = 0
  if (alone === undefined) return slower
  for (const [index, leaves] of branches) slower += Math.max(0, coverage(leaves) - (alone.branches.get(index) ?? 0))
  return slower
}

function isSequential({ regions }: TraceData, { region, branches }: Parts): boolean {
  return regions[region]?.mode === "sequential" && branches.size > 1
}

function wallOf(leaves: readonly Interval[]): number {
  return Math.max(...rangeOf(leaves, "end")) - Math.min(...rangeOf(leaves, "start"))
}

/** The least and the greatest value: `Math.min` of all could have too many arguments. */
function rangeOf(leaves: readonly Interval[], key: keyof Interval): [number, number] {
  let [least, most] = [Infinity, -Infinity]
  for (const leaf of leaves) {
    least = Math.min(least, leaf[key])
    most = Math.max(most, leaf[key])
  }
  return [least, most]
}

/** The operations inside each region, with the function of that region in which they were queued. */
function leavesByRegion(regions: readonly TraceRegion[], leaves: readonly Leaf[]): { leaf: Leaf; branch: number }[][] {
  const inside: { leaf: Leaf; branch: number }[][] = []
  for (const leaf of leaves) {
    let branch = leaf.branch
    for (let index = leaf.region; index !== undefined; index = regions[index]?.parent) {
      if (branch !== undefined) (inside[index] ??= []).push({ leaf, branch })
      branch = regions[index]?.branch
    }
  }
  return inside
}

function partsOf(
  { name, mode, called, streams, parent, graph, beside: inGraph = [] }: TraceRegion,
  region: number,
  inside: readonly { leaf: Leaf; branch: number }[],
  beside: Beside,
): Parts {
  const branches = new Map<number, Leaf[]>()
  const [main = -1] = streams
  // What runs beside a fork is what its caller queues before the join.
  const isFork = name === "fork" && mode === "parallel"
  if (isFork && inside.length > 0) {
    const own = new Set(inside.map(({ leaf }) => leaf.index))
    const queued = beside.queued(main, called).filter((leaf) => !own.has(leaf.index) && leaf.region === parent)
    const others = graph === undefined ? queued : inGraph.flatMap((index) => beside.at(index) ?? [])
    if (others.length > 0) branches.set(0, others)
  }
  for (const { leaf, branch } of inside) {
    const list = branches.get(branch)
    if (list === undefined) branches.set(branch, [leaf])
    else list.push(leaf)
  }
  const parts = [...branches].toSorted(([a], [b]) => a - b).map(([index, own]) => `${index}: ${namesOf(own)}`)
  return { region, branches, key: `${graph === undefined ? "" : "in a graph: "}${name} ${parts.join(" ")}` }
}

/** The names of operations in their order, as one number: regions may have thousands of them. */
function namesOf(leaves: readonly Leaf[]): string {
  let hash = 5381
  for (const { name } of leaves) {
    for (let at = 0; at < name.length; at++) hash = (Math.imul(hash, 33) ^ name.charCodeAt(at)) | 0
    hash = Math.imul(hash, 33) | 0
  }
  return `${leaves.length} ${hash}`
}

/** Finds operations by their indices, and those that were queued on a stream in a time. */
class Beside {
  readonly #byIndex: Map<number, Leaf>
  readonly #byStream: Map<number, Leaf[]>

  constructor(leaves: readonly Leaf[]) {
    this.#byIndex = new Map(leaves.map((leaf) => [leaf.index, leaf]))
    this.#byStream = groupBy(
      leaves.toSorted((a, b) => a.queued - b.queued),
      ({ stream }) => stream,
    )
  }

  at(index: number): Leaf | undefined {
    return this.#byIndex.get(index)
  }

  queued(stream: number, { start, end }: Interval): Leaf[] {
    const own = this.#byStream.get(stream) ?? []
    let low = 0
    let high = own.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((own[middle]?.queued ?? Infinity) < start) low = middle + 1
      else high = middle
    }
    const found: Leaf[] = []
    for (let at = low; at < own.length; at++) {
      const leaf = own[at]
      if (leaf === undefined || leaf.queued > end) break
      found.push(leaf)
    }
    return found
  }
}
