/**
 * Why a region placed its operations as it did: data for people and tests. The same program gives the same data, on every
 * device: it has no addresses and no names of streams.
 */
import { overlap, overlapOf, type StridedRange } from "../common/strided.js"
import type { Access, Operation, OperationKind } from "../runtime/order/observer/operation.js"
import type { Segment } from "./history.js"
import type { Step } from "./step.js"

/** Why an operation runs after an earlier one of its region. */
export interface PlacementEdge {
  /** The index of the earlier operation. */
  readonly from: number
  /** The index of the later operation. */
  readonly to: number
  /** What enforces the order: both are on one stream; the stream waits; or other edges imply it. */
  readonly by: "stream" | "wait" | "other edges"
  /** Why: they use the same memory, or `inOrder` orders them. */
  readonly why: "memory" | "inOrder"
  /** What the earlier operation does to the memory. Undefined for `inOrder`. */
  readonly earlier: "read" | "write" | undefined
  /** What the later operation does to the memory. Undefined for `inOrder`. */
  readonly later: "read" | "write" | undefined
  /** The index of the memory: arrays and pieces of wrapped memory are numbered in the order of their first use. */
  readonly memory: number | undefined
  /** The first byte in common, from the beginning of the memory. */
  readonly begin: number | undefined
  /** The byte after the last one in common. */
  readonly end: number | undefined
  /** The argument of the later kernel, as in messages, or the name of the global. */
  readonly argument: string | undefined
}

/** An operation, and where the region placed it. */
export interface PlacedOperation {
  /** Counts up from 0, in the order of the calls. */
  readonly index: number
  /** The kernel's name, or the kind of operation. */
  readonly label: string
  /** The kind of operation. */
  readonly kind: OperationKind
  /** The index of its stream: 0 is the current stream of the region. */
  readonly stream: number
  /** The number of fences before it. It runs after all operations with a smaller number. */
  readonly section: number
  /** The operations that it must run after, newest first. */
  readonly edges: readonly PlacementEdge[]
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** A region's operations with their streams and their edges. */
export class PlacementReport {
  /** In the order of the calls. */
  readonly operations: readonly PlacedOperation[]

  /** @internal */
  constructor(operations: readonly PlacedOperation[]) {
    this.operations = operations
  }

  /** All edges. */
  get edges(): readonly PlacementEdge[] {
    return this.operations.flatMap(({ edges }) => edges)
  }

  /** The number of streams with an operation. */
  get streamCount(): number {
    return new Set(this.operations.map(({ stream }) => stream)).size
  }

  /**
   * The operations in the DOT language of Graphviz: a cluster for each stream, arrows for the edges, dashed where a stream
   * waits for another. `dot -Tsvg` draws it.
   */
  toDot(): string {
    return ["digraph {", ...this.#clusters(), ...this.#arrows(), "}", ""].join("\n")
  }

  #clusters(): string[] {
    const streams = [...new Set(this.operations.map(({ stream }) => stream))].toSorted((a, b) => a - b)
    return streams.flatMap((stream) => [
      `  subgraph cluster_${stream} {`,
      `    label="stream ${stream}"`,
      ...this.operations
        .filter((operation) => operation.stream === stream)
        .map(({ index, label }) => `    n${index} [label=${JSON.stringify(`${index} ${label}`)}]`),
      "  }",
    ])
  }

  #arrows(): string[] {
    const lines = this.edges
      .filter(({ by }) => by !== "other edges")
      .map(({ from, to, by }) => `  n${from} -> n${to}${by === "wait" ? " [style=dashed]" : ""}`)
    return [...new Set(lines)]
  }
}

/** Collects what a {@link PlacementReport} tells. */
export class Explanation {
  /** The index of the first explained operation. */
  readonly #first: number
  readonly #operations: PlacedOperation[] = []
  #edges: Mutable<PlacementEdge>[] = []
  #waits = new Set<number>()
  /** The stream of each earlier step that the current operation must run after, by the index of the step. */
  readonly #sources = new Map<number, number>()
  #section = 0
  /** The numbers of the pieces of memory, and how many there are. */
  readonly #numbers = new WeakMap<object, { readonly number: number; readonly begin: number }>()
  #memories = 0
  #isFresh = true

  constructor(first: number) {
    this.#first = first
  }

  /** The operations with these indices. */
  report(from: number, to: number): PlacementReport {
    return new PlacementReport(this.#operations.slice(from - this.#first, to - this.#first))
  }

  begin(): void {
    this.#edges = []
    this.#waits = new Set()
    this.#sources.clear()
  }

  readonly conflict = (step: Step, access: Access, segment: Segment, wasWrite: boolean): void => {
    const common = commonOf(access, segment)
    if (common === undefined) return
    this.#sources.set(step.index, step.stream.index)
    const place = this.#placeOf(access)
    const edge = {
      from: step.index,
      to: 0,
      by: "other edges" as const,
      why: "memory" as const,
      earlier: wasWrite ? ("write" as const) : ("read" as const),
      later: access.mode === "read" ? ("read" as const) : ("write" as const),
      memory: place.number,
      begin: common.begin - place.begin,
      end: common.end - place.begin,
      argument: access.role.name ?? access.role.argument,
    }
    const last = this.#edges.find((one) => isContinued(one, edge))
    if (last === undefined) this.#edges.push(edge)
    else last.end = edge.end
  }

  follows(step: Step): void {
    this.#sources.set(step.index, step.stream.index)
    const nothing = { earlier: undefined, later: undefined, memory: undefined, begin: undefined, end: undefined }
    this.#edges.push({ from: step.index, to: 0, by: "other edges", why: "inOrder", ...nothing, argument: undefined })
  }

  waits(step: Step): void {
    this.#waits.add(step.index)
  }

  add(step: Step, { label, kind, accesses }: Operation): void {
    this.#isFresh = false
    for (const access of accesses) this.#placeOf(access)
    const { index } = step
    for (const edge of this.#edges) {
      edge.to = index
      if (this.#waits.has(edge.from)) edge.by = "wait"
      else if (this.#sources.get(edge.from) === step.stream.index) edge.by = "stream"
    }
    const edges = this.#edges.toSorted((a, b) => b.from - a.from || (a.memory ?? 0) - (b.memory ?? 0))
    this.#operations.push({ index, label, kind, stream: step.stream.index, section: this.#section, edges })
  }

  fence(): void {
    if (!this.#isFresh) this.#section += 1
    this.#isFresh = true
  }

  #placeOf({ memory, address }: Access): { readonly number: number; readonly begin: number } {
    const known = this.#numbers.get(memory)
    if (known !== undefined) return known
    const begin = "address" in memory && typeof memory.address === "number" ? memory.address : address
    const place = { number: this.#memories++, begin }
    this.#numbers.set(memory, place)
    return place
  }
}

/** Whether an edge is for the bytes that follow those of another one. */
function isContinued(one: PlacementEdge, next: PlacementEdge): boolean {
  return (
    one.from === next.from &&
    one.memory === next.memory &&
    one.end === next.begin &&
    one.earlier === next.earlier &&
    one.later === next.later &&
    one.argument === next.argument
  )
}

/** The bytes of an access in a segment. */
function commonOf(access: Access, { begin, end }: Segment): { begin: number; end: number } | undefined {
  const range: StridedRange = { address: begin, width: end - begin, pitch: end - begin, rows: 1 }
  return overlap(access, range) ? overlapOf(access, range) : undefined
}
