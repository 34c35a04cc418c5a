import type { ConditionalKind } from "../../driver/graphs.js"
import type { Branch } from "../queue/branch.js"
import { INSIDE, JUMP, JUMP_IF_ZERO, JUMP_UNLESS_ZERO, KIND_BITS, PUBLISH, wordAt } from "../control/layout.js"
import { inSequence, isWait } from "../queue/sequence.js"

const ENTRY_WORDS = 3
const RETURN_WORDS = 2

/**
 * A conditional whose body is being captured. It becomes a jump over the body's commands, which are put into the branch
 * itself in one order: forks inside a body do not run in parallel. So inside a body a worker is still at one command of one
 * block, and can leave the stream there as anywhere else.
 */
export class OpenConditional {
  /** The position of its end command, which is queued at once to reserve the place. */
  readonly #position: number
  readonly #kind: ConditionalKind
  readonly #condition: number
  readonly #branch: Branch

  constructor(kind: ConditionalKind, condition: number, branch: Branch) {
    this.#kind = kind
    this.#condition = condition
    this.#branch = branch
    this.#position = branch.count
    branch.commands.end(branch)
  }

  /** Inserts the body. */
  close(body: readonly Branch[]): void {
    this.#branch.insert(this.#position, this.#around(commandsOf(body)))
  }

  #around(body: readonly number[]): Int32Array {
    const entry = this.#kind === "unless" ? JUMP_UNLESS_ZERO : JUMP_IF_ZERO
    const back = this.#kind === "while" ? [header(JUMP, RETURN_WORDS), -(ENTRY_WORDS + body.length)] : []
    const distance = ENTRY_WORDS + body.length + back.length
    return Int32Array.from([header(entry, ENTRY_WORDS), distance, this.#condition, ...body, ...back])
  }
}

function header(kind: number, length: number): number {
  return kind | (length << KIND_BITS) | INSIDE
}

/** The commands of all branches in one order that respects their waits, without those waits. */
function commandsOf(branches: readonly Branch[]): number[] {
  const commands: number[] = []
  inSequence(branches, ({ words }, start, end, last) => {
    if (isWait(words, start)) return
    for (let at = start; at < end; at++) {
      const word = wordAt(words, at)
      commands.push(at === last ? (word & ~PUBLISH) | INSIDE : word)
    }
  })
  return commands
}
