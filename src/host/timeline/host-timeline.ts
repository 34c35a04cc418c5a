/**
 * The host device's timeline. It has the workers note when commands ran, and finds the operations of their records by stream
 * and position.
 */
import type { StreamHandle } from "../../driver/handles.js"
import type { TimedNode, Timeline, TimelineSink } from "../../driver/timeline.js"
import type { ControlMemory } from "../control/control.js"
import {
  COPY,
  COPY_ROWS,
  FILL,
  FILL_ROWS,
  INSIDE,
  KIND_MASK,
  TIMED,
  TIMED_AT,
  TIMED_BRANCH,
  TIMED_HIGH,
  TIMED_KERNEL,
  TIMED_KIND,
  TIMED_LOW,
  TIMED_STREAM,
  TIMED_TIMES,
  position,
  wordAt,
} from "../control/layout.js"
import type { TimeRings } from "../control/time-rings.js"
import type { GraphLauncher } from "../graph/graph-launch.js"
import type { Commands } from "../queue/commands.js"
import type { Queues } from "../queue/queues.js"
import type { StreamSlot } from "../queue/stream.js"
import type { KernelTable } from "../threads/kernel-table.js"
import { type CommandPlaces, PlacesOfGraphs } from "./command-places.js"
import { QueuedOperations } from "./queued-operations.js"

/** What a {@link HostTimeline} is made of. */
export interface TimelineParts {
  readonly control: ControlMemory
  readonly rings: TimeRings
  readonly queues: Queues
  readonly commands: Commands
  readonly launcher: GraphLauncher
  readonly kernels: KernelTable
}

/** The operations in flight on one stream's slot. */
interface TimedSlot {
  readonly slot: StreamSlot
  readonly operations: QueuedOperations
}

export class HostTimeline implements Timeline {
  readonly source = "workers"
  readonly #slots = new Map<number, TimedSlot>()
  /** The queues of the operations that have begun and not ended, with the positions before their commands. */
  readonly #open: { readonly slot: StreamSlot; readonly begin: number }[] = []
  /** How often each command inside a conditional has run, by launch and index. */
  readonly #iterations = new Map<number, number>()
  readonly #placesOfGraphs = new PlacesOfGraphs()
  /** The places of the commands of each launch of a graph, and of the one that is being queued. */
  readonly #places = new Map<number, CommandPlaces>()
  #launched: CommandPlaces | undefined
  #queued = 0
  readonly #parts: TimelineParts
  readonly #sink: TimelineSink
  readonly #capacity: number

  /** @throws OutOfMemoryError if there is no memory for the workers' rings */
  constructor(parts: TimelineParts, sink: TimelineSink, capacity: number) {
    this.#parts = parts
    this.#sink = sink
    this.#capacity = 2 ** Math.ceil(Math.log2(capacity))
    parts.rings.open(this.#capacity)
    parts.commands.flag = TIMED
    parts.launcher.timed = (graph) => {
      this.#launched = this.#placesOfGraphs.of(graph, parts.control.words)
    }
  }

  begin(_operation: number, stream: StreamHandle): void {
    // While the opening thread queues without a pause, nothing else empties the rings.
    if (++this.#queued % (this.#capacity >>> 1) === 0) this.collect()
    const { slot } = this.#parts.queues.get(stream)
    this.#open.push({ slot, begin: slot.tail })
  }

  end(operation: number): boolean {
    const open = this.#open.pop()
    if (open === undefined || open.slot.tail === open.begin) return false
    if (this.#launched !== undefined) this.#places.set(operation, this.#launched)
    this.#launched = undefined
    const { slot, begin } = open
    let timed = this.#slots.get(slot.block)
    if (timed === undefined) this.#slots.set(slot.block, (timed = { slot, operations: new QueuedOperations() }))
    return timed.operations.add(operation, begin, slot.tail)
  }

  collect(): boolean {
    // Read before the rings: a worker writes a record before it counts the command.
    const passed = [...this.#slots.values()].map(({ slot, operations }) => ({ operations, progress: slot.progress }))
    this.#parts.rings.drain((at) => this.#read(at))
    const lost = this.#parts.rings.takeLost()
    if (lost > 0) this.#sink.lost(lost)
    for (const { operations, progress } of passed) operations.forget(progress)
    return false
  }

  stop(): void {
    this.#parts.commands.flag = 0
    this.#parts.launcher.timed = undefined
    this.collect()
    this.#parts.rings.close()
  }

  #read(at: number): void {
    const { words, doubles } = this.#parts.control
    const stream = wordAt(words, at + TIMED_STREAM)
    const place = position(wordAt(words, at + TIMED_HIGH), wordAt(words, at + TIMED_LOW))
    const operation = this.#slots.get(stream)?.operations.at(place)
    if (operation === undefined) return
    const start = doubles[(at + TIMED_TIMES) / 2] ?? 0
    const end = doubles[(at + TIMED_TIMES) / 2 + 1] ?? 0
    if (wordAt(words, at + TIMED_KIND) === 0) this.#sink.ran(operation, start, end)
    else this.#sink.nodeRan(operation, { ...this.#nodeOf(at, operation), start, end })
  }

  #nodeOf(at: number, operation: number): Omit<TimedNode, "start" | "end"> {
    const { words } = this.#parts.control
    const flags = wordAt(words, at + TIMED_KIND)
    const kind = kindOf(flags & KIND_MASK)
    const name = kind === "kernel" ? this.#parts.kernels.nameOf(wordAt(words, at + TIMED_KERNEL)) : kind
    const iteration = (flags & INSIDE) === 0 ? undefined : this.#count(operation, wordAt(words, at + TIMED_AT))
    const place = this.#places.get(operation)?.get(wordAt(words, at + TIMED_AT))
    return { kind, name: name ?? "kernel", branch: wordAt(words, at + TIMED_BRANCH), graph: 0, place, iteration }
  }

  #count(operation: number, at: number): number {
    const key = operation * 2 ** 28 + at
    const before = this.#iterations.get(key) ?? 0
    this.#iterations.set(key, before + 1)
    return before
  }
}

function kindOf(kind: number): "kernel" | "copy" | "fill" {
  if (kind === COPY || kind === COPY_ROWS) return "copy"
  return kind === FILL || kind === FILL_ROWS ? "fill" : "kernel"
}
