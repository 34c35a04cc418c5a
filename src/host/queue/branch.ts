import { type CommandQueue, Commands } from "./commands.js"
import { PUBLISH, wordAt } from "../control/layout.js"
import { forEachCommand, isWait } from "./sequence.js"

/** No more threads can run at once, so more branches gain nothing: further streams share earlier branches. */
export const MOST_BRANCHES = 256

const FIRST_WORDS = 256

/** What a branch needs from its capture. */
export interface BranchList {
  readonly branches: readonly Branch[]
  /** How many commands have been captured on all branches, without waits. */
  count: number
  /** A new branch, or an earlier one once there are {@link MOST_BRANCHES}. */
  addBranch(level: number): Branch
}

/** A record on a captured stream: its position in its branch, and the positions of other branches that it implies. */
export interface CapturedPoint {
  readonly branch: Branch
  readonly position: number
  readonly known: readonly number[]
}

/**
 * One stream's part of a graph being captured: the commands of its future block. A wait that the order already implies is
 * left out.
 */
export class Branch implements CommandQueue {
  words = new Int32Array(FIRST_WORDS)
  bytes = new Uint8Array(this.words.buffer)
  floats = new Float32Array(this.words.buffer)
  readonly start = 0
  /** Words in use. */
  end = 0
  /** How many of the commands wait for other branches. */
  waits = 0
  readonly commands = new Commands(this)
  /** For each position, the number of its command among those of all branches, in the order of the calls; -1 for a wait. */
  calls: number[] = []
  /** Where the counted commands begin. */
  readonly #starts: number[] = []
  /** For each branch, the position that the next command here already runs after. */
  readonly #known: number[] = []
  /** The branches that run the second and later branches of graphs launched here. */
  readonly #helpers: Branch[] = []
  /** Its capture. */
  readonly list: BranchList
  /** Its index in the capture. 0 is the branch that the capture began on. */
  readonly index: number
  /** Its stream's priority level. */
  readonly level: number

  constructor(capture: BranchList, index: number, level: number) {
    this.list = capture
    this.index = index
    this.level = level
  }

  /** How many commands there are. A conditional counts once. */
  get count(): number {
    return this.#starts.length
  }

  room(words: number): number {
    if (this.end + words > this.words.length) this.#grow(this.end + words)
    return this.end
  }

  publish(words: number): void {
    this.#starts.push(this.end)
    this.calls.push(this.list.count++)
    this.end += words
  }

  /**
   * Adds a copy of a command. `last` is the index, in its words, of the command that positions count.
   *
   * @param call its number among the commands of the capture, which are counted already
   */
  append(command: Int32Array, last: number, call: number): void {
    const at = this.room(command.length)
    this.words.set(command, at)
    this.words[at + last] = wordAt(command, last) & ~PUBLISH
    this.publish(command.length)
    this.#uncount(call)
    this.#starts[this.count - 1] = at + last
  }

  /** Inserts words that positions do not count in front of the command at a position. */
  insert(position: number, inserted: Int32Array): void {
    const at = this.#starts[position] ?? this.end
    this.room(inserted.length)
    this.words.copyWithin(at + inserted.length, at, this.end)
    this.words.set(inserted, at)
    this.end += inserted.length
    for (let index = position; index < this.count; index++)
      this.#starts[index] = (this.#starts[index] ?? 0) + inserted.length
  }

  record(): CapturedPoint {
    const known = this.list.branches.map((branch) => (branch === this ? this.count : (this.#known[branch.index] ?? 0)))
    return { branch: this, position: this.count, known }
  }

  waitFor(point: CapturedPoint): void {
    const { branch, position } = point
    if (branch === this || (this.#known[branch.index] ?? 0) >= position) return
    this.commands.waitBranch(this, branch.index, position)
    this.#uncount(-1)
    branch.#markAwaited(position)
    this.waits++
    point.known.forEach((known, index) => {
      this.#known[index] = Math.max(known, this.#known[index] ?? 0)
    })
  }

  /**
   * The branch that runs the branch at `place` of graphs launched here. Launches share it: they run one after another
   * anyway.
   */
  helper(place: number, level: number): Branch {
    this.#helpers[place] ??= this.list.addBranch(level)
    return this.#helpers[place]
  }

  /** What the first command waits for; undefined if it waits for nothing. */
  get firstWait(): { readonly branch: number; readonly position: number } | undefined {
    const { words } = this
    if (this.count === 0 || !isWait(words, 0)) return undefined
    return { branch: wordAt(words, 1), position: wordAt(words, 2) }
  }

  /** One number per command. Two branches with equal numbers differ only in what their commands work on. */
  shape(): number[] {
    const shape: number[] = []
    const { words } = this
    forEachCommand(this, (at, header) => {
      const awaited = wordAt(words, at + 2) * MOST_BRANCHES + wordAt(words, at + 1)
      shape.push(isWait(words, at) ? -awaited - 1 : header)
    })
    return shape
  }

  /** Drops the commands: events may keep this object for a long time. */
  clear(): void {
    this.words = new Int32Array(0)
    this.bytes = new Uint8Array(0)
    this.floats = new Float32Array(0)
    this.calls = []
    this.#starts.length = 0
  }

  /** The command added last is not the next one of the capture, but has this number. */
  #uncount(call: number): void {
    this.list.count--
    this.calls[this.count - 1] = call
  }

  #markAwaited(position: number): void {
    const start = this.#starts[position - 1]
    if (start !== undefined) this.words[start] = wordAt(this.words, start) | PUBLISH
  }

  #grow(needed: number): void {
    const words = new Int32Array(Math.max(needed, 2 * this.words.length))
    words.set(this.words)
    this.words = words
    this.bytes = new Uint8Array(words.buffer)
    this.floats = new Float32Array(words.buffer)
  }
}
