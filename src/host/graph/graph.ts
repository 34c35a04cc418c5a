import type { BranchBlock, BranchSource, LaunchEnd } from "./branch-block.js"
import { chainOf } from "./chain.js"
import type { ControlBlocks } from "../control/control-blocks.js"
import type { ControlMemory } from "../control/control.js"
import { type FlatBlock, FlatBlocks } from "./flat-block.js"
import { TIME_WORDS } from "../control/layout.js"
import { commandAt } from "../queue/sequence.js"
import { Pace } from "./pace.js"
import type { HostStream } from "../queue/stream.js"
import { Rounds } from "../../common/rounds.js"

/** A graph that can be launched. */
export interface HostGraph {
  branches: readonly BranchBlock[]
  /** If its commands are chained: the position of each node, by the node's handle. */
  places: ReadonlyMap<number, number> | undefined
  /** Its own streams, one for each branch but the first. Made when a launch first needs them. */
  readonly streams: (HostStream | undefined)[]
  /** Undefined before the first launch. */
  lastLaunch: LaunchEnd | undefined
  /** Where that was queued. */
  lastStream: HostStream | undefined
  readonly pace: Pace
  /** Counts the changes of its commands. */
  version: number
  /** Its flat block. Made when a launch first needs it. */
  flat: FlatBlock | undefined
  /** The latest launch when its commands were last made changeable: later launches name the present commands. */
  changedBehind: LaunchEnd | undefined
}

/** Replaced or destroyed branches, and the positions that must be passed before their memory can be reused. */
interface Retired {
  readonly branches: readonly BranchBlock[]
  readonly flat: FlatBlock | undefined
  readonly ends: readonly LaunchEnd[]
}

/** The graphs of one device, by handle. */
export class GraphTable {
  readonly #graphs: (HostGraph | undefined)[] = [undefined]
  readonly #freeHandles: number[] = []
  readonly #retired = new Rounds<Retired>()
  readonly #flatBlocks: FlatBlocks
  readonly #control: ControlMemory
  readonly #blocks: ControlBlocks

  constructor(control: ControlMemory, blocks: ControlBlocks) {
    this.#control = control
    this.#blocks = blocks
    this.#flatBlocks = new FlatBlocks(control, blocks)
  }

  get(handle: number): HostGraph {
    const graph = this.#graphs[handle]
    if (graph === undefined) throw new RangeError(`there is no graph ${handle}`)
    return graph
  }

  /** @throws OutOfMemoryError, having made nothing */
  create(sources: readonly BranchSource[], places?: ReadonlyMap<number, number>): number {
    const branches = this.#writeAll(sources, (branch) => this.#write(branch))
    const handle = this.#freeHandles.pop() ?? this.#graphs.length
    this.#graphs[handle] = {
      branches,
      places,
      streams: [],
      lastLaunch: undefined,
      lastStream: undefined,
      pace: new Pace(),
      version: 0,
      flat: undefined,
      changedBehind: undefined,
    }
    return handle
  }

  /** Makes another graph of the same commands, in one chain. @throws OutOfMemoryError, having made nothing */
  chain(handle: number): number {
    const { words } = this.#control
    const ranges = this.get(handle).branches.map(({ block, length, level, calls }) => ({
      words,
      start: block + TIME_WORDS,
      end: block + length,
      level,
      calls,
    }))
    const { source, places } = chainOf(ranges)
    return this.create([source], places)
  }

  /** Replaces a graph's commands if the shape is the same. Launches that are queued already keep the old commands. */
  update(handle: number, sources: readonly BranchSource[], places?: ReadonlyMap<number, number>): boolean {
    const graph = this.get(handle)
    if (!isSameShape(graph.branches, sources)) return false
    const branches = this.#writeAll(sources, (branch) => this.#write(branch))
    this.#retire(graph)
    graph.branches = branches
    graph.places = places
    graph.version++
    graph.flat = undefined
    graph.changedBehind = graph.lastLaunch
    graph.pace.forget()
    return true
  }

  /**
   * Changes the command at a position of a branch, for launches that are queued later. `change` gets the command's index and,
   * if there is a flat block, then also the index of the command there.
   *
   * @throws OutOfMemoryError, having changed nothing
   */
  change(graph: HostGraph, index: number, position: number, change: (at: number, header: number) => void): void {
    this.#makeChangeable(graph)
    graph.version++
    const branch = graph.branches[index]
    if (branch === undefined) throw new RangeError(`The graph has no branch ${index}.`)
    const { block, length, shape } = branch
    const { words } = this.#control
    const { at, place } = commandAt({ words, start: block + TIME_WORDS, end: block + length }, position)
    const header = shape[place] ?? 0
    change(at, header)
    if (graph.flat !== undefined) change(this.#flatBlocks.find(graph.flat, at), header)
  }

  /** Copies the commands if queued launches still need them. */
  #makeChangeable(graph: HostGraph): void {
    if (graph.changedBehind === graph.lastLaunch) return
    const { branches, flat } = graph
    if (!this.#isOver({ branches, flat, ends: endsOf(graph) })) {
      const copies = this.#writeAll(branches, (branch) => this.#copy(branch))
      this.#retire(graph)
      graph.branches = copies
      graph.flat = undefined
      graph.pace.skip()
    }
    graph.changedBehind = graph.lastLaunch
  }

  #copy(branch: BranchBlock): BranchBlock {
    const block = this.#blocks.acquire(branch.length)
    this.#control.words.copyWithin(block, branch.block, branch.block + branch.length)
    return { ...branch, block }
  }

  /** @returns the graph's own streams, for the caller to destroy */
  destroy(handle: number): readonly (HostStream | undefined)[] {
    const graph = this.#graphs[handle]
    if (graph === undefined) return []
    this.#graphs[handle] = undefined
    this.#freeHandles.push(handle)
    this.#retire(graph)
    return graph.streams
  }

  /** The graph's flat block. @throws OutOfMemoryError */
  flatOf(graph: HostGraph): FlatBlock {
    graph.flat ??= this.#flatBlocks.make(graph.branches)
    return graph.flat
  }

  /** Whether a flat run has been interrupted since the last call. */
  wasInterrupted({ flat }: HostGraph): boolean {
    return flat !== undefined && this.#flatBlocks.wasInterrupted(flat)
  }

  #writeAll<Source>(branches: readonly Source[], write: (branch: Source) => BranchBlock): BranchBlock[] {
    this.#sweep()
    const written: BranchBlock[] = []
    try {
      for (const branch of branches) written.push(write(branch))
      return written
    } catch (error) {
      this.#release(written)
      throw error
    }
  }

  #write(branch: BranchSource): BranchBlock {
    const { words, end, count, level, calls, firstWait, waits } = branch
    const length = TIME_WORDS + end
    const block = this.#blocks.acquire(length)
    this.#control.words.set(words.subarray(0, end), block + TIME_WORDS)
    return { block, length, count, level, calls, firstWait, shape: branch.shape(), waits }
  }

  #retire(graph: HostGraph): void {
    const { branches, flat } = graph
    this.#retired.add({ branches, flat, ends: endsOf(graph) })
    this.#sweep()
  }

  /** Releases the memory of some retired branches whose launches are over. */
  #sweep(): void {
    for (const { branches, flat } of this.#retired.take((one) => this.#isOver(one))) {
      this.#release(branches)
      if (flat !== undefined) this.#flatBlocks.release(flat)
    }
  }

  #isOver({ flat, ends }: Retired): boolean {
    return (
      ends.every(({ slot, position }) => slot.hasPassed(position)) &&
      (flat === undefined || this.#flatBlocks.isIdle(flat))
    )
  }

  #release(branches: readonly BranchBlock[]): void {
    for (const { block, length } of branches) this.#blocks.release(block, length)
  }
}

/** The positions that are passed when no queued launch needs the graph's commands any more. */
function endsOf({ lastLaunch, streams }: HostGraph): LaunchEnd[] {
  // A branch that ends with a wait may finish after the launch.
  const ends = streams.flatMap((stream) => (stream ? [{ slot: stream.slot, position: stream.slot.tail }] : []))
  return lastLaunch === undefined ? ends : [...ends, lastLaunch]
}

/** Whether both have the same commands, except for what they work on. */
function isSameShape(blocks: readonly BranchBlock[], branches: readonly BranchSource[]): boolean {
  return (
    blocks.length === branches.length &&
    branches.every((branch, index) => {
      const block = blocks[index]
      if (block === undefined || branch.level !== block.level) return false
      const shape = branch.shape()
      return shape.length === block.shape.length && shape.every((word, place) => word === block.shape[place])
    })
  )
}
