import { type CommandQueue, Commands } from "./commands.js"
import { LEVEL, PUBLISH, WAIT_BRANCH, KIND_MASK } from "./layout.js"
import type { HostStream } from "./stream.js"

/** More branches than threads can run at once gain nothing: further streams share the earlier ones' branches. */
const MOST_BRANCHES = 256

const FIRST_WORDS = 256

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
  /** Words in use. */
  length = 0
  /** How many commands there are. */
  count = 0
  /** How many of them wait for other branches. */
  waits = 0
  readonly commands = new Commands(this)
  private readonly starts: number[] = []
  /** Of each branch, the position that what comes next here runs behind. */
  private readonly known: number[] = []

  constructor(
    readonly capture: HostCapture,
    /** Its place among the branches. The first is the one that the capture began on. */
    readonly index: number,
    /** The priority level of its stream. */
    readonly level: number,
  ) {}

  room(words: number): number {
    if (this.length + words > this.words.length) this.grow(this.length + words)
    return this.length
  }

  publish(words: number): void {
    this.starts.push(this.length)
    this.length += words
    this.count++
  }

  record(): CapturedPoint {
    const known = [...this.known]
    known[this.index] = this.count
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

  /** Where the branch that the first command waits for has to have come; undefined if it waits for none. */
  get firstWait(): { readonly branch: number; readonly position: number } | undefined {
    const { words } = this
    if (this.count === 0 || ((words[0] as number) & KIND_MASK) !== WAIT_BRANCH) return undefined
    return { branch: words[1] as number, position: words[2] as number }
  }

  /** Have both the same commands, but for what they work on? */
  hasShapeOf(headers: readonly number[]): boolean {
    return headers.length === this.count && this.shape().every((word, index) => word === headers[index])
  }

  /** One number for each command that says what it is; a wait's says for what it waits. */
  shape(): number[] {
    const { words } = this
    return this.starts.map((start) => {
      const header = words[start] as number
      const isWait = (header & KIND_MASK) === WAIT_BRANCH
      return isWait ? -((words[start + 2] as number) * MOST_BRANCHES + (words[start + 1] as number)) - 1 : header
    })
  }

  private markAwaited(position: number): void {
    const start = this.starts[position - 1]
    if (start !== undefined) this.words[start] = (this.words[start] as number) | PUBLISH
  }

  private grow(needed: number): void {
    const words = new Int32Array(Math.max(needed, 2 * this.words.length))
    words.set(this.words)
    this.words = words
    this.bytes = new Uint8Array(words.buffer)
    this.floats = new Float32Array(words.buffer)
  }
}

/** A capture under way: commands are kept instead of queued. */
export class HostCapture {
  readonly branches: Branch[] = []
  private readonly streams: HostStream[] = []

  constructor(private readonly levels: { readonly words: Int32Array }) {}

  /** From here on the stream's commands are kept. */
  admit(stream: HostStream): Branch {
    const index = this.streams.length % MOST_BRANCHES
    const level = this.levels.words[stream.slot.block + LEVEL] as number
    const branch = this.branches[index] ?? new Branch(this, index, level)
    this.branches[index] = branch
    this.streams.push(stream)
    stream.branch = branch
    return branch
  }

  /** Gives the streams back to their queues. */
  end(): void {
    for (const stream of this.streams) stream.branch = undefined
  }
}
