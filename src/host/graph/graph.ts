import type { Branch } from "../queue/branch.js"
import type { BranchBlock, LaunchEnd } from "./branch-block.js"
import type { HostCapture } from "./capture.js"
import type { ControlBlocks } from "../control/control-blocks.js"
import type { ControlMemory } from "../control/control.js"
import { type FlatBlock, FlatBlocks } from "./flat-block.js"
import { TIME_WORDS } from "../control/layout.js"
import { Pace } from "./pace.js"
import type { HostStream } from "../queue/stream.js"
import { Rounds } from "../../common/rounds.js"

/** A graph that can be launched. */
export interface HostGraph {
  branches: readonly BranchBlock[]
  /** The streams of its own, one for each branch but the first. Made at the first launch. */
  readonly streams: (HostStream | undefined)[]
  /** Undefined before the first launch. */
  lastLaunch: LaunchEnd | undefined
  /** Where that was queued. */
  lastStream: HostStream | undefined
  readonly pace: Pace
  /** How one worker runs it. Made when that is first wanted. */
  flat: FlatBlock | undefined
}

/** Branches that were replaced or destroyed, and what has to be over before their memory is used again. */
interface Retired {
  readonly branches: readonly BranchBlock[]
  readonly flat: FlatBlock | undefined
  readonly ends: readonly LaunchEnd[]
}

/** The graphs of one device, by handle. */
export class GraphTable {
  private readonly graphs: (HostGraph | undefined)[] = [undefined]
  private readonly freeHandles: number[] = []
  private readonly retired = new Rounds<Retired>()
  private readonly flatBlocks: FlatBlocks

  constructor(
    private readonly control: ControlMemory,
    private readonly blocks: ControlBlocks,
  ) {
    this.flatBlocks = new FlatBlocks(control, blocks)
  }

  get(handle: number): HostGraph {
    const graph = this.graphs[handle]
    if (graph === undefined) throw new RangeError(`there is no graph ${handle}`)
    return graph
  }

  /** @throws OutOfMemoryError, having made nothing */
  create(capture: HostCapture): number {
    const branches = this.write(capture)
    const handle = this.freeHandles.pop() ?? this.graphs.length
    this.graphs[handle] = {
      branches,
      streams: [],
      lastLaunch: undefined,
      lastStream: undefined,
      pace: new Pace(),
      flat: undefined,
    }
    return handle
  }

  /** Puts a capture in a graph's place if their shapes are the same. Launches that are queued run what they were. */
  update(handle: number, capture: HostCapture): boolean {
    const graph = this.get(handle)
    if (!isSameShape(graph.branches, capture.branches)) return false
    const branches = this.write(capture)
    this.retire(graph)
    graph.branches = branches
    graph.flat = undefined
    graph.pace.forget()
    return true
  }

  /** @returns the streams that the graph had of its own */
  destroy(handle: number): readonly (HostStream | undefined)[] {
    const graph = this.graphs[handle]
    if (graph === undefined) return []
    this.graphs[handle] = undefined
    this.freeHandles.push(handle)
    this.retire(graph)
    return graph.streams
  }

  /** How one worker runs the graph. @throws OutOfMemoryError */
  flatOf(graph: HostGraph): FlatBlock {
    graph.flat ??= this.flatBlocks.make(graph.branches)
    return graph.flat
  }

  /** Has a run by one worker been interrupted since this was asked last? */
  wasInterrupted({ flat }: HostGraph): boolean {
    return flat !== undefined && this.flatBlocks.wasInterrupted(flat)
  }

  private write(capture: HostCapture): BranchBlock[] {
    this.sweep()
    const written: BranchBlock[] = []
    try {
      for (const branch of capture.branches) written.push(this.writeBranch(branch))
      return written
    } catch (error) {
      this.give(written)
      throw error
    }
  }

  private writeBranch(branch: Branch): BranchBlock {
    const { words, end, count, level, firstWait, waits } = branch
    const length = TIME_WORDS + end
    const block = this.blocks.acquire(length)
    this.control.words.set(words.subarray(0, end), block + TIME_WORDS)
    return { block, length, count, level, firstWait, shape: branch.shape(), waits }
  }

  private retire({ branches, flat, lastLaunch, streams }: HostGraph): void {
    // A branch that ends with a wait may come to its end after the launch has.
    const ends = streams.flatMap((stream) => (stream ? [{ slot: stream.slot, position: stream.slot.tail }] : []))
    if (lastLaunch !== undefined) ends.push(lastLaunch)
    this.retired.add({ branches, flat, ends })
    this.sweep()
  }

  /** Gives back the memory of a few that are over. */
  private sweep(): void {
    for (const { branches, flat } of this.retired.take((one) => this.isOver(one))) {
      this.give(branches)
      if (flat !== undefined) this.flatBlocks.give(flat)
    }
  }

  private isOver({ flat, ends }: Retired): boolean {
    return (
      ends.every(({ slot, position }) => slot.hasPassed(position)) &&
      (flat === undefined || this.flatBlocks.isIdle(flat))
    )
  }

  private give(branches: readonly BranchBlock[]): void {
    for (const { block, length } of branches) this.blocks.release(block, length)
  }
}

/** Have both the same commands, but for what they work on? */
function isSameShape(blocks: readonly BranchBlock[], branches: readonly Branch[]): boolean {
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
