import { type CommandQueue, Commands } from "./commands.js"
import { PUBLISH } from "../control/layout.js"
import { forEachCommand, isWait } from "./sequence.js"
import { wordAt } from "../control/words.js"

/** More branches than threads can run at once gain nothing: further streams share the earlier ones' branches. */
export const MOST_BRANCHES = 256

const FIRST_WORDS = 256

/** The capture that a branch belongs to, as the branch sees it. */
export interface BranchList {
  readonly branches: readonly Branch[]
  /** A new branch; one of the earlier ones where there are enough. */
  addBranch(level: number): Branch
}

/** A record on a captured stream: how far each branch has come for whoever waits for it. */
export interface CapturedPoint {
  readonly branch: Branch
  readonly position: number
  readonly known: readonly number[]
}

/**
 * What is captured of one stream: the commands that its block will have. Only what adds order becomes a wait; whoever
 * shares a branch adds some.
 */
export class Branch implements CommandQueue {
  words = new Int32Array(FIRST_WORDS)
  bytes = new Uint8Array(this.words.buffer)
  floats = new Float32Array(this.words.buffer)
  readonly start = 0
  /** Words in use. */
  end = 0
  /** How many of them wait for other branches. */
  waits = 0
  readonly commands = new Commands(this)
  /** Where the commands that count begin. */
  private readonly starts: number[] = []
  /** Of each branch, the position that what comes next here runs behind. */
  private readonly known: number[] = []
  /** The branches that graphs launched here have beside their first one. */
  private readonly helpers: Branch[] = []

  constructor(
    private readonly capture: BranchList,
    /** Its place among the branches. The first is the one that the capture began on. */
    readonly index: number,
    /** The priority level of its stream. */
    readonly level: number,
  ) {}

  /** How many commands there are, a conditional counted once. */
  get count(): number {
    return this.starts.length
  }

  room(words: number): number {
    if (this.end + words > this.words.length) this.grow(this.end + words)
    return this.end
  }

  publish(words: number): void {
    this.starts.push(this.end)
    this.end += words
  }

  /** Adds a command as it stands elsewhere. `last` is the place, among its words, of what counts. */
  append(command: Int32Array, last: number): void {
    const at = this.room(command.length)
    this.words.set(command, at)
    this.words[at + last] = wordAt(command, last) & ~PUBLISH
    this.publish(command.length)
    this.starts[this.count - 1] = at + last
  }

  /** Puts words, which count for nothing, in front of the command at a position. */
  insert(position: number, inserted: Int32Array): void {
    const at = this.starts[position] as number
    this.room(inserted.length)
    this.words.copyWithin(at + inserted.length, at, this.end)
    this.words.set(inserted, at)
    this.end += inserted.length
    for (let index = position; index < this.count; index++)
      this.starts[index] = (this.starts[index] as number) + inserted.length
  }

  record(): CapturedPoint {
    const known = this.capture.branches.map((branch) =>
      branch === this ? this.count : (this.known[branch.index] ?? 0),
    )
    return { branch: this, position: this.count, known }
  }

  waitFor(point: CapturedPoint): void {
    const { branch, position } = point
    if (branch === this || (this.known[branch.index] ?? 0) >= position) return
    this.commands.waitBranch(this, branch.index, position)
    branch.markAwaited(position)
    this.waits++
    point.known.forEach((known, index) => {
      this.known[index] = Math.max(known, this.known[index] ?? 0)
    })
  }

  /**
   * The branch that runs the branch at a place of a graph that is launched here, or was before: one launch runs behind
   * the other all the same.
   */
  helper(place: number, level: number): Branch {
    this.helpers[place] ??= this.capture.addBranch(level)
    return this.helpers[place]
  }

  /** Where the branch that the first command waits for has to have come; undefined if it waits for none. */
  get firstWait(): { readonly branch: number; readonly position: number } | undefined {
    const { words } = this
    if (this.count === 0 || !isWait(words, 0)) return undefined
    return { branch: wordAt(words, 1), position: wordAt(words, 2) }
  }

  /** One number for each command that says what it is, but not what it works on; a wait's says for what it waits. */
  shape(): number[] {
    const shape: number[] = []
    const { words } = this
    forEachCommand(this, (at, header) => {
      const awaited = wordAt(words, at + 2) * MOST_BRANCHES + wordAt(words, at + 1)
      shape.push(isWait(words, at) ? -awaited - 1 : header)
    })
    return shape
  }

  /** Forgets the commands. What was recorded here may be held for long. */
  clear(): void {
    this.words = new Int32Array(0)
    this.bytes = new Uint8Array(0)
    this.floats = new Float32Array(0)
    this.starts.length = 0
  }

  private markAwaited(position: number): void {
    const start = this.starts[position - 1]
    if (start !== undefined) this.words[start] = wordAt(this.words, start) | PUBLISH
  }

  private grow(needed: number): void {
    const words = new Int32Array(Math.max(needed, 2 * this.words.length))
    words.set(this.words)
    this.words = words
    this.bytes = new Uint8Array(words.buffer)
    this.floats = new Float32Array(words.buffer)
  }
}
