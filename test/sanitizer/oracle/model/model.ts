/** What a sanitizer must find: the order of a program, its memory, and the graphs that it captured. */
import { ModelGraph } from "./graph.js"
import { Memory, type Race } from "./memory.js"
import {
  type Before,
  type Lane,
  nothing,
  type Operation,
  Order,
  shifted,
  single,
  type Space,
  together,
  type Top,
  type Use,
} from "./order.js"

/** Where an allocation and its first contents begin. */
interface Birth {
  readonly contents: Before
  /** The program, or the capture. */
  readonly space: Space
  readonly at: Before
}

/** A launch of a graph, in the program or in a capture. */
interface PastLaunch {
  readonly graph: ModelGraph
  readonly memory: ReadonlySet<object>
  readonly lane: Lane
  readonly after: Before
}

/** An operation that is about to be queued, and the races that it would have. */
export interface Attempt {
  readonly lane: Lane
  readonly top: Top
  readonly operations: readonly Operation[]
  readonly races: readonly Race[]
  /** What it is ordered behind, besides what the stream knows. */
  readonly behind: Before
  readonly graph: ModelGraph | undefined
}

export class Model {
  readonly order = new Order()
  readonly #memories: Memory[] = [new Memory()]
  readonly #launches: PastLaunch[][] = [[]]
  readonly #births = new Map<object, Birth>()
  /** The conditionals whose bodies are being captured. */
  readonly #arounds: { before: Before; readonly space: Space; readonly memory: Memory }[] = []
  /** The memory of the graphs launched inside each open capture. */
  readonly #parts: Set<object>[] = []
  /** Whether accesses are noted. Order always is. */
  isWatching = false

  get #memory(): Memory {
    return this.#memories.at(-1) ?? new Memory()
  }

  /** Memory was allocated. */
  forget(device: number, address: number, byteLength: number): void {
    for (const memory of this.#memories) memory.forget(device, address, byteLength)
  }

  /** Every use of the memory is ordered after its birth: the stream's latest operation, if that wrote first contents. */
  noteBirth(memory: object, lane: Lane, hasContents: boolean): void {
    const { space } = this.order
    const contents = hasContents ? single(space.operations.length - 1) : nothing
    this.#births.set(memory, { contents, space, at: lane.before })
  }

  /** The first contents of what operations use, which was made in this space. */
  #birthsOf(operations: readonly Operation[], space = this.order.space): Before {
    const uses = operations.flatMap((one) => one.uses)
    let before = nothing
    for (const { memory, addresses } of uses) {
      const birth = this.#births.get(memory)
      if (birth === undefined || birth.space !== space) continue
      // An empty view is no use, but may be ordered like one.
      const promised = addresses.length > 0 ? birth.contents.promised : 0n
      before = together(before, { promised, possible: birth.contents.possible })
      // In a capture, the birth is an edge, so that everything before it happens before the use, too.
      if (this.order.captures > 0) before = together(before, { promised: 0n, possible: birth.at.possible })
    }
    return before
  }

  /** @returns the operation as it would be, to be accepted or dropped */
  attempt(lane: Lane, label: string, uses: readonly Use[]): Attempt {
    return this.#attempt(lane, [{ label, stream: lane.stream, uses, before: nothing, levels: [] }], nothing)
  }

  attemptGraph(lane: Lane, graph: ModelGraph): Attempt {
    const memory = graph.memory()
    let before = nothing
    for (const launch of this.#launches.at(-1) ?? []) {
      const shares = launch.graph === graph || [...memory].some((one) => launch.memory.has(one))
      if (shares) before = together(before, launch.after)
      else if (graph.isConnectedTo(launch.graph)) {
        before = together(before, { promised: 0n, possible: launch.after.possible })
      } else continue
      // In a capture, the edge between the two launches is behind everything on the earlier one's stream.
      if (this.order.captures > 0) before = together(before, this.#allThatMayBeWaitedFor(launch))
    }
    return this.#attempt(lane, graph.operations(), before, graph)
  }

  /** @param behind what the operations are ordered behind, besides what the stream knows */
  #attempt(lane: Lane, block: readonly Operation[], behind: Before, graph?: ModelGraph): Attempt {
    const isBlock = graph !== undefined || block.length > 1
    const { top, operations: placed } = this.order.place(lane, block, isBlock, this.isWatching)
    const before = together(behind, this.#birthsOf(placed))
    const operations = placed.map((one) => ({ ...one, before: together(one.before, before) }))
    return { lane, top, operations, races: this.#races(top, operations), behind, graph }
  }

  #races({ first }: Top, operations: readonly Operation[]): Race[] {
    if (!this.isWatching) return []
    const all = [...this.order.space.operations, ...operations]
    const inside = new Memory()
    const races: Race[] = []
    for (const [index, operation] of operations.entries()) {
      races.push(...this.#memory.races(first + index, operation, all))
      if (operations.length === 1) continue
      races.push(...inside.races(first + index, operation, all))
      inside.note(first + index, operation.uses)
    }
    return [...races, ...this.#racesAround(operations)]
  }

  /** In the body of a conditional, operations are where the conditional is. */
  #racesAround(operations: readonly Operation[]): Race[] {
    return this.#arounds.flatMap(({ before, space, memory }) => {
      return operations.flatMap((one) => memory.races(-1, { ...one, before }, space.operations))
    })
  }

  accept({ lane, top, operations, behind, graph }: Attempt): void {
    lane.before = together(lane.before, behind)
    this.order.queue(lane, top, operations)
    if (this.isWatching) {
      for (const [index, { uses }] of operations.entries()) this.#memory.note(top.first + index, uses)
    }
    for (const around of this.#arounds) {
      // The conditional runs after the first contents of what a body uses, once it is captured.
      const { possible } = this.#birthsOf(operations, around.space)
      around.before = together(around.before, { promised: 0n, possible })
    }
    if (graph === undefined) return
    const memory = graph.memory()
    for (const one of memory) this.#parts.at(-1)?.add(one)
    this.#launches.at(-1)?.push({ graph, memory, lane, after: lane.before })
  }

  /** @param around for the body of a conditional, the stream of the conditional */
  beginCapture(root: Lane, around?: Lane): void {
    if (around !== undefined) {
      const before = together(around.before, this.#behindGraphs())
      this.#arounds.push({ before, space: this.order.space, memory: this.#memory })
    }
    this.order.beginCapture(root)
    this.#memories.push(new Memory())
    this.#launches.push([])
    this.#parts.push(new Set())
  }

  #endCapture(): { space: Space; parts: ReadonlySet<object> } {
    this.#memories.pop()
    this.#launches.pop()
    return { space: this.order.endCapture(), parts: this.#parts.pop() ?? new Set() }
  }

  /** @param into the graph that is replaced */
  endCapture(into?: ModelGraph): ModelGraph {
    const { space, parts } = this.#endCapture()
    if (into !== undefined) {
      into.replace(space, parts)
      return into
    }
    return new ModelGraph(space, parts)
  }

  /** Ends the body of a conditional, which first reads the condition. */
  endBody(label: string, around: Lane, condition: readonly Use[]): Attempt {
    const { space } = this.#endCapture()
    this.#arounds.pop()
    const reads = { label, stream: around.stream, uses: condition, before: nothing, levels: [] }
    const body = space.operations.map((one) => ({ ...one, before: together(single(0), shifted(one.before, 1)) }))
    return this.#attempt(around, [reads, ...body], this.#behindGraphs())
  }

  /** A conditional may run after all graphs, because its body may launch any of them. */
  #behindGraphs(): Before {
    return (this.#launches.at(-1) ?? []).map((launch) => this.#allThatMayBeWaitedFor(launch)).reduce(together, nothing)
  }

  /**
   * To order something in a capture behind a launch, the library may wait for everything on the launch's stream, also for what
   * later leases of it have queued.
   */
  #allThatMayBeWaitedFor({ lane, after }: PastLaunch): Before {
    const leases = [lane, ...this.order.space.members].filter(({ stream }) => stream === lane.stream)
    return { promised: 0n, possible: leases.reduce((all, { before }) => all | before.possible, after.possible) }
  }
}
