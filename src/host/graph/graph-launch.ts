import type { ControlMemory } from "../control/control.js"
import type { BranchBlock } from "./branch-block.js"
import type { GraphTable, HostGraph } from "./graph.js"
import {
  ALONE,
  CALL,
  CALL_WORDS,
  FLAT_CALL_WORDS,
  FLAT_TABLE,
  KIND_BITS,
  TABLE_ENTRY_WORDS,
  TAKES_OVER,
  WAIT,
  WAIT_WORDS,
  highWord,
  wordAt,
} from "../control/layout.js"
import type { Scheduler } from "../schedule/scheduler.js"
import type { HostStream, StreamSlot } from "../queue/stream.js"
import type { StreamTable } from "../queue/stream-table.js"
import type { WorkerPool } from "../threads/worker-pool.js"

/** A branch of one launch. */
interface Part {
  readonly index: number
  readonly branch: BranchBlock
  readonly slot: StreamSlot
  /** Is everything done that was queued on its stream before? */
  readonly isFirst: boolean
  /** Does it have to wait for the launch's place itself, as its first command waits for nothing? */
  readonly waits: boolean
  /** Words of the call. */
  readonly words: number
  /** Where in the queue it is written. */
  readonly at: number
  /** The position before its first command. */
  readonly base: number
}

/**
 * Queues launches of graphs. What one worker runs is one call on the launch stream. Else it is one call for each branch:
 * the launch stream runs the first one, streams of the graph's own run the others. Where they wait for each other, they
 * name positions behind the calls' beginnings, so that launches can be queued behind each other without touching the
 * commands.
 */
export class GraphLauncher {
  constructor(
    private readonly control: ControlMemory,
    private readonly scheduler: Scheduler,
    private readonly graphs: Pick<GraphTable, "flatOf" | "wasInterrupted">,
    private readonly streams: Pick<StreamTable, "create" | "destroy">,
    private readonly pool: Pick<WorkerPool, "serve">,
  ) {}

  /** @throws OutOfMemoryError, having queued nothing */
  launch(graph: HostGraph, stream: HostStream): void {
    const [first] = graph.branches
    if (first === undefined || first.count === 0) return
    const root = stream.slot
    const end = { slot: root, position: root.tail + first.count }
    if (this.graphs.wasInterrupted(graph)) graph.pace.distrust()
    const how = graph.pace.choose(graph.branches, end, this.control)
    if ((how & ALONE) === 0) this.launchBranches(graph, root, how)
    else this.launchFlat(graph, first, root, how)
    graph.lastLaunch = end
    graph.lastStream = stream
  }

  private launchFlat(graph: HostGraph, { block, length, count }: BranchBlock, root: StreamSlot, how: number): void {
    const flat = this.graphs.flatOf(graph)
    const at = root.room(FLAT_CALL_WORDS)
    const { words } = this.control
    const table = wordAt(words, flat.block + FLAT_TABLE)
    words.set([CALL | (FLAT_CALL_WORDS << KIND_BITS), block, length, count, table, how, flat.block], at)
    root.publish(FLAT_CALL_WORDS, count)
    this.scheduler.submit(root.block)
    // Should the run be interrupted, its branches are run side by side.
    this.pool.serve(flat.streams.length)
  }

  private launchBranches(graph: HostGraph, root: StreamSlot, how: number): void {
    const start = root.tail
    const parts = this.makeRoom(graph, root)
    const table = (parts[0]?.at ?? 0) + CALL_WORDS
    for (const part of parts) this.write(part, root, start, table, how)
    for (const { slot, branch, waits, words } of parts) {
      // Both at once, or a worker could find the call before it is counted.
      if (waits) slot.publish(WAIT_WORDS + words, 1 + branch.count)
      else slot.publish(words, branch.count)
    }
    this.submit(parts, root, start)
  }

  /** Nothing is published before there is room for everything. */
  private makeRoom(graph: HostGraph, root: StreamSlot): Part[] {
    const { branches } = graph
    const isStarted = root.isIdle() && !root.isBroken()
    const parts: Part[] = []
    branches.forEach((branch, index) => {
      if (branch.count === 0) return
      const slot = index === 0 ? root : this.streamOf(graph, index, branch.level).slot
      const isFirst = slot.isIdle()
      const waits = index > 0 && branch.firstWait === undefined && !isStarted
      const words = index > 0 ? CALL_WORDS : CALL_WORDS + TABLE_ENTRY_WORDS * branches.length
      const at = slot.room(waits ? WAIT_WORDS + words : words)
      parts.push({ index, branch, slot, isFirst, waits, words, at, base: waits ? slot.tail + 1 : slot.tail })
    })
    return parts
  }

  /** A stream that broke stays so; another one takes its place. */
  private streamOf(graph: HostGraph, index: number, level: number): HostStream {
    const former = graph.streams[index]
    if (former !== undefined && !former.slot.isBroken()) return former
    const stream = this.streams.create(-level, true)
    if (former !== undefined) this.streams.destroy(former.handle)
    graph.streams[index] = stream
    return stream
  }

  /** The table stands behind the first branch's call, which is over last. */
  private write(part: Part, root: StreamSlot, start: number, table: number, how: number): void {
    const { words } = this.control
    const { index, branch, slot, base } = part
    let at = part.at
    if (part.waits) {
      words[at] = WAIT | (WAIT_WORDS << KIND_BITS)
      words[at + 1] = root.block
      words[at + 2] = start | 0
      words[at + 3] = highWord(start)
      words[at + 4] = TAKES_OVER
      at += WAIT_WORDS
    }
    words[at] = CALL | (part.words << KIND_BITS)
    words[at + 1] = branch.block
    words[at + 2] = branch.length
    words[at + 3] = branch.count
    words[at + 4] = table
    words[at + 5] = how
    const entry = table + TABLE_ENTRY_WORDS * index
    words[entry] = slot.block
    words[entry + 1] = base | 0
    words[entry + 2] = highWord(base)
  }

  /**
   * The first branch comes last: whoever starts with it finds the others in their places. A stream that has earlier
   * launches to run, though a worker is about to leave it, must not sleep until this one may begin.
   */
  private submit(parts: readonly Part[], root: StreamSlot, start: number): void {
    for (const { index, branch, slot, isFirst, waits } of parts) {
      if (index === 0) continue
      const { firstWait } = branch
      const awaited = parts.find((part) => part.index === firstWait?.branch)
      if (isFirst && firstWait !== undefined && awaited !== undefined) {
        this.submitBehind(slot, awaited.slot, awaited.base + firstWait.position)
      } else if (isFirst && waits) {
        this.submitBehind(slot, root, start)
      } else {
        this.scheduler.submit(slot.block)
      }
    }
    this.scheduler.submit(root.block)
    this.pool.serve()
  }

  private submitBehind(slot: StreamSlot, awaited: StreamSlot, position: number): void {
    this.scheduler.submitBehind(slot.block, awaited.block, highWord(position), position | 0)
  }
}
