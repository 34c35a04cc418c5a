/**
 * The whole order of a program, by brute force: for each operation, the set of all operations that are ordered before it. It
 * follows from the rules of §5 and §6 alone, and must share no code with the library's clocks or the sanitizer.
 *
 * There are two orders, because the library sometimes orders more than it promises (launches of graphs that share memory
 * only by way of a third, arrays made in captures). A race must be reported if the operations are unordered in the
 * `possible` order, and may be reported only if they are unordered in the `promised` order. They rarely differ.
 */

/** A set of operations: bit n stands for operation n. */
export interface Before {
  readonly promised: bigint
  readonly possible: bigint
}

export const nothing: Before = { promised: 0n, possible: 0n }

export function together(one: Before, other: Before): Before {
  return { promised: one.promised | other.promised, possible: one.possible | other.possible }
}

/** The same operations, behind `count` others. */
export function shifted({ promised, possible }: Before, count: number): Before {
  const by = BigInt(count)
  return { promised: promised << by, possible: possible << by }
}

export function single(operation: number): Before {
  const bit = 1n << BigInt(operation)
  return { promised: bit, possible: bit }
}

export function contains(set: bigint, operation: number): boolean {
  return ((set >> BigInt(operation)) & 1n) === 1n
}

/** Bytes that an operation uses. */
export interface Use {
  readonly device: number
  readonly addresses: readonly number[]
  readonly writes: boolean
  /** The allocation. Two arrays that wrap one address have two. */
  readonly memory: object
}

export interface Operation {
  readonly label: string
  /** The stream's id. */
  readonly stream: number
  readonly uses: readonly Use[]
  readonly before: Before
  /**
   * Where it was queued: in the program or the capture, then in the graph or the conditional that was queued there, and so
   * on. Empty until then.
   */
  readonly levels: readonly Level[]
}

/** A place among the operations of a program, of a capture, or of the body of a conditional. */
export interface Level {
  readonly top: Top
  /** Whether the sanitizer saw it there as it is now. */
  readonly isSeen: boolean
}

/** A stream. It has one set of earlier operations for itself, and one for each capture that it is part of. */
export class Lane {
  /** The stream's id. */
  readonly stream: number
  readonly #layers: Before[] = [nothing]

  constructor(stream: number) {
    this.stream = stream
  }

  get before(): Before {
    return this.#layers.at(-1) ?? nothing
  }

  set before(before: Before) {
    this.#layers[this.#layers.length - 1] = before
  }

  join(): void {
    this.#layers.push(nothing)
  }

  leave(): void {
    this.#layers.pop()
  }
}

/** What was queued by one call: an operation, or all operations of a graph or a conditional. */
export interface Top {
  readonly first: number
  readonly count: number
  readonly isBlock: boolean
}

/** The operations of a program, or of a capture. */
export class Space {
  readonly operations: Operation[] = []
  readonly tops: Top[] = []
  readonly members = new Set<Lane>()
}

/** Every operation with everything that is ordered before it. */
export class Order {
  readonly #spaces: Space[] = [new Space()]
  #host: Before = nothing

  get space(): Space {
    return this.#spaces.at(-1) ?? new Space()
  }

  /** How many captures are open, one inside the other. */
  get captures(): number {
    return this.#spaces.length - 1
  }

  isMember(lane: Lane): boolean {
    return this.captures === 0 || this.space.members.has(lane)
  }

  /** A stream that waits for the first time in a capture becomes part of it. */
  wait(lane: Lane, point: Before): void {
    this.#admit(lane)
    lane.before = together(lane.before, point)
  }

  #admit(lane: Lane): void {
    if (this.isMember(lane)) return
    lane.join()
    this.space.members.add(lane)
  }

  /** The program has seen that these operations are over. */
  learn(point: Before): void {
    this.#host = together(this.#host, point)
  }

  beginCapture(root: Lane): void {
    this.#spaces.push(new Space())
    this.#admit(root)
  }

  endCapture(): Space {
    const { space } = this
    for (const lane of space.members) lane.leave()
    this.#spaces.pop()
    return space
  }

  /** The operations of a block as they would be if it were queued now. */
  place(
    lane: Lane,
    block: readonly Operation[],
    isBlock: boolean,
    isSeen: boolean,
  ): { readonly top: Top; readonly operations: Operation[] } {
    const first = this.space.operations.length
    const top = { first, count: block.length, isBlock }
    const known = this.captures === 0 ? together(lane.before, this.#host) : lane.before
    const operations = block.map((one) => ({
      ...one,
      levels: [{ top, isSeen }, ...one.levels],
      before: together(known, shifted(one.before, first)),
    }))
    return { top, operations }
  }

  /** Queues placed operations. Whatever is queued later on the stream is ordered after all of them. */
  queue(lane: Lane, top: Top, operations: readonly Operation[]): void {
    const { space } = this
    space.operations.push(...operations)
    space.tops.push(top)
    for (const [index, { before }] of operations.entries()) {
      lane.before = together(lane.before, together(before, single(top.first + index)))
    }
  }
}
