import type { KernelError } from "../../common/errors.js"
import { ENDS_BROKEN, TAKES_OVER } from "../control/layout.js"
import type { Commands } from "./commands.js"
import type { HostEvent } from "./event-table.js"
import type { Failures } from "./failures.js"
import type { Queues } from "./queues.js"
import type { HostStream } from "./stream.js"

/** The point in its stream's order from which memory may be used. */
export interface HostBirth {
  readonly stream: HostStream
  readonly position: number
  /** Whether earlier work may still have been using the memory when it was handed out. */
  readonly isEarly: boolean
  /** Whether the birth is after first contents. */
  readonly hasContents: boolean
  /** Whether users must break if the first contents were skipped. False once all of them have been overwritten. */
  readonly needsContents: boolean
}

/** Queues the waits of one stream for another, unless they are ordered already. */
export class Waits {
  readonly #commands: Commands
  readonly #failures: Failures
  readonly #queues: Queues

  constructor(commands: Commands, failures: Failures, queues: Queues) {
    this.#commands = commands
    this.#failures = failures
    this.#queues = queues
  }

  /** Has a stream wait for an event's latest record, which no capture made. */
  waitForRecord(stream: HostStream, { stream: other, position }: HostEvent): void {
    if (other !== undefined) this.waitForPosition(stream, other, position)
  }

  /** Has a stream wait for a position of another one. */
  waitForPosition(stream: HostStream, other: HostStream, position: number): void {
    if (other === stream) return
    const passed = other.hasPassed(position)
    const error = passed ? this.#failures.before(other, position) : undefined
    if (error !== undefined) this.#breakBecauseOf(error, stream)
    // A broken stream must still wait for all of these, because memory that was freed after them is free only then.
    else if (passed && !other.slot.isBroken()) return
    else this.#commands.wait(stream.slot, other.slot, position, TAKES_OVER)
    this.#queues.submit(stream)
  }

  /**
   * Has a stream wait for a birth. `overwrites`: the stream overwrites all of the memory, so it needs no first contents.
   * @returns true if the birth is over, so that no stream needs to wait for it
   */
  waitForBirth(stream: HostStream, birth: HostBirth, overwrites: boolean): boolean {
    const { stream: home, position } = birth
    const needsContents = birth.needsContents && !overwrites
    const passed = home.hasPassed(position)
    const error = passed && needsContents ? this.#failures.before(home, position) : undefined
    if (passed && error === undefined) return true
    if (error !== undefined) this.#breakBecauseOf(error, stream)
    else this.#commands.wait(stream.slot, home.slot, position, howToWait(birth, needsContents))
    this.#queues.submit(stream)
    return false
  }

  /** Breaks a stream because what it waits for is known to have failed. */
  #breakBecauseOf(error: KernelError, stream: HostStream): void {
    if (!stream.slot.isBroken()) this.#commands.break(stream.slot, this.#failures.tell(stream, error))
  }
}

/**
 * First contents that were skipped break the waiting stream, and end its wait at once. No other failure of the birth's
 * stream breaks it. A stream that may use the memory early waits to the end even if the other one is broken: an earlier
 * owner may still be using the memory.
 */
function howToWait({ hasContents, isEarly }: HostBirth, needsContents: boolean): number {
  return (needsContents ? TAKES_OVER : 0) | (hasContents && !isEarly ? ENDS_BROKEN : 0)
}
