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
  TIMED,
  TIMED_NODES,
  WAIT,
  WAIT_WORDS,
  highWord,
  wordAt,
} from "../control/layout.js"
import type { Scheduler } from "../schedule/scheduler.js"
import type { HostStream, StreamSlot } from "../queue/stream.js"
import type { StreamTable } from "../queue/stream-table.js"
import type { WorkerPool } from "../threads/worker-pool.js"

/** One branch of one launch. */
interface Part {
  readonly index: number
  readonly branch: BranchBlock
  readonly slot: StreamSlot
  /** Whether its stream is idle. */
  readonly isFirst: boolean
  /** Whether it needs a wait for the launch's position, because its first command is no wait. */
  readonly waits: boolean
  /** Words of its call. */
  readonly words: number
  /** The index at which it is written. */
  readonly at: number
  /** The position before its first command. */
  readonly base: number
}

/**
 * Queues launches of graphs. A flat launch is one call on the launch stream. Any other launch is one call per branch: the
 * launch stream runs the first branch, and the graph's own streams run the others. Waits between branches name positions
 * relative to the beginning of the calls, so that several launches can be queued without changing the commands.
 */
export class GraphLauncher {
  /** Told of each launch while the workers note when its commands run. Without it they do not. */
  timed: ((graph: HostGraph) => void) | undefined
  readonly #control: ControlMemory
  readonly #scheduler: Scheduler
  readonly #graphs: Pick<GraphTable, "flatOf" | "wasInterrupted">
  readonly #streams: Pick<StreamTable, "create" | "destroy">
  readonly #pool: Pick<WorkerPool, "serve">

  constructor(
    control: ControlMemory,
    scheduler: Scheduler,
    graphs: Pick<GraphTable, "flatOf" | "wasInterrupted">,
    streams: Pick<StreamTable, "create" | "destroy">,
    pool: Pick<WorkerPool, "serve">,
  ) {
    this.#control = control
    this.#scheduler = scheduler
    this.#graphs = graphs
    this.#streams = streams
    this.#pool = pool
  }

  /** @throws OutOfMemoryError, having queued nothing */
  launch(graph: HostGraph, stream: HostStream): void {
    const [first] = graph.branches
    if (first === undefined || first.count === 0) return
    const root = stream.slot
    const end = { slot: root, position: root.tail + first.count }
    if (this.#graphs.wasInterrupted(graph)) graph.pace.distrust()
    const pace = graph.pace.choose(graph.branches, end, this.#control)
    const how = this.timed === undefined ? pace : pace | TIMED_NODES
    if ((how & ALONE) === 0) this.#launchBranches(graph, root, how)
    else this.#launchFlat(graph, first, root, how)
    graph.lastLaunch = end
    graph.lastStream = stream
    this.timed?.(graph)
  }

  #launchFlat(graph: HostGraph, { block, length, count }: BranchBlock, root: StreamSlot, how: number): void {
    const flat = this.#graphs.flatOf(graph)
    const at = root.room(FLAT_CALL_WORDS)
    const { words } = this.#control
    const table = wordAt(words, flat.block + FLAT_TABLE)
    words[at] = CALL | (FLAT_CALL_WORDS << KIND_BITS) | this.#flag
    words[at + 1] = block
    words[at + 2] = length
    words[at + 3] = count
    words[at + 4] = table
    words[at + 5] = how
    words[at + 6] = flat.block
    root.publish(FLAT_CALL_WORDS, count)
    this.#scheduler.submit(root.block)
    // If the run is interrupted, its branches need a worker each.
    this.#pool.serve(flat.streams.length)
  }

  #launchBranches(graph: HostGraph, root: StreamSlot, how: number): void {
    const start = root.tail
    const parts = this.#makeRoom(graph, root)
    const table = (parts[0]?.at ?? 0) + CALL_WORDS
    for (const part of parts) this.#write(part, root, start, table, how)
    for (const { slot, branch, waits, words } of parts) {
      // Both are published together, or a worker could see the call before it is counted.
      if (waits) slot.publish(WAIT_WORDS + words, 1 + branch.count)
      else slot.publish(words, branch.count)
    }
    this.#submit(parts, root, start)
  }

  /** Finds room for all calls before anything is published. */
  #makeRoom(graph: HostGraph, root: StreamSlot): Part[] {
    const { branches } = graph
    const isStarted = root.isIdle() && !root.isBroken()
    const parts: Part[] = []
    branches.forEach((branch, index) => {
      if (branch.count === 0) return
      const slot = index === 0 ? root : this.#streamOf(graph, index, branch.level).slot
      const isFirst = slot.isIdle()
      const waits = index > 0 && branch.firstWait === undefined && !isStarted
      const words = index > 0 ? CALL_WORDS : CALL_WORDS + TABLE_ENTRY_WORDS * branches.length
      const at = slot.room(waits ? WAIT_WORDS + words : words)
      parts.push({ index, branch, slot, isFirst, waits, words, at, base: waits ? slot.tail + 1 : slot.tail })
    })
    return parts
  }

  /** The stream of a branch. A broken stream stays broken, so a new one replaces it. */
  #streamOf(graph: HostGraph, index: number, level: number): HostStream {
    const former = graph.streams[index]
    if (former !== undefined && !former.slot.isBroken()) return former
    const stream = this.#streams.create(-level, true)
    if (former !== undefined) this.#streams.destroy(former.handle)
    graph.streams[index] = stream
    return stream
  }

  /** The flag of the call on the launch stream. */
  get #flag(): number {
    return this.timed === undefined ? 0 : TIMED
  }

  /** The table follows the first branch's call, which ends last. */
  #write(part: Part, root: StreamSlot, start: number, table: number, how: number): void {
    const { words } = this.#control
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
    words[at] = CALL | (part.words << KIND_BITS) | (index === 0 ? this.#flag : 0)
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
   * The first branch is submitted last, when the others are in place. A stream that was not idle still has earlier
   * launches to run, even if a worker is about to leave it, so it must not wait for this launch first.
   */
  #submit(parts: readonly Part[], root: StreamSlot, start: number): void {
    for (const { index, branch, slot, isFirst, waits } of parts) {
      if (index === 0) continue
      const { firstWait } = branch
      const awaited = parts.find((part) => part.index === firstWait?.branch)
      if (isFirst && firstWait !== undefined && awaited !== undefined) {
        this.#submitBehind(slot, awaited.slot, awaited.base + firstWait.position)
      } else if (isFirst && waits) {
        this.#submitBehind(slot, root, start)
      } else {
        this.#scheduler.submit(slot.block)
      }
    }
    this.#scheduler.submit(root.block)
    this.#pool.serve()
  }

  #submitBehind(slot: StreamSlot, awaited: StreamSlot, position: number): void {
    this.#scheduler.submitBehind(slot.block, awaited.block, highWord(position), position | 0)
  }
}
