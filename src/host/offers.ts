import type { ControlMemory } from "./control.js"
import {
  ALONE,
  CALL,
  CHUNK_WORDS,
  IDLE,
  KIND_BITS,
  KIND_MASK,
  LENGTH_MASK,
  LINK,
  PROGRESS_HIGH,
  PROGRESS_LOW,
  READ,
  RUNNING,
  STATE,
  TAIL,
  WAIT,
  WAIT_WORDS,
  hasProgressed,
} from "./layout.js"
import { countCommand } from "./progress.js"
import type { Scheduler } from "./scheduler.js"

/** How waits are run. Positions are those before the command. */
export interface WaitOperations {
  /** Breaks the stream if the one that it has waited for is broken. */
  takeOver(stream: number, other: number, awaitedHigh: number, awaitedLow: number, low: number, high: number): void
}

/**
 * The queues of streams that are offered: what a worker does between the blocks of a stream that it runs for the sake
 * of another one.
 */
export class Offers {
  constructor(
    private readonly at: { readonly control: ControlMemory; readonly scheduler: Scheduler },
    private readonly operations: WaitOperations,
  ) {}

  /**
   * Leaves a stream to whoever will wait for it, or to whoever has time if somebody waits already. Others may have run
   * it in between, so that nothing that was known of it may be used afterwards.
   */
  offer(stream: number): void {
    const { scheduler } = this.at
    if (!scheduler.offer(stream)) scheduler.yield(stream)
  }

  /** The call that a claimed stream stands before, or in; 0 if it still has to wait for something. */
  findCall(stream: number): number {
    const { control } = this.at
    let read = control.words[stream + READ] as number
    for (;;) {
      const kind = (control.words[read] as number) & KIND_MASK
      if (kind === LINK) {
        read = this.followLink(read)
      } else if (kind === WAIT && this.passWait(stream, read)) {
        read += WAIT_WORDS
        control.words[stream + READ] = read
      } else {
        if (kind === CALL) control.words[stream + READ] = read
        return kind === CALL ? read : 0
      }
    }
  }

  /** Ends a call that has been run to its last command, and leaves the stream to itself. */
  finish(stream: number, call: number, low: number, high: number): void {
    const { scheduler } = this.at
    const { words } = this.at.control
    words[stream + READ] = call + (((words[call] as number) >>> KIND_BITS) & LENGTH_MASK)
    countCommand(this.at, stream, low, high)
    for (;;) {
      const reached = words[stream + PROGRESS_LOW] as number
      if (reached !== Atomics.load(words, stream + TAIL)) {
        if (this.isNextAlone(stream)) this.offer(stream)
        else scheduler.yield(stream)
        return
      }
      Atomics.store(words, stream + STATE, IDLE)
      const isFilled = reached !== Atomics.load(words, stream + TAIL)
      if (!isFilled || Atomics.compareExchange(words, stream + STATE, IDLE, RUNNING) !== IDLE) break
    }
    scheduler.retire()
  }

  /** Runs a wait outside the blocks if what it waits for has come to pass. */
  private passWait(stream: number, read: number): boolean {
    const { words } = this.at.control
    const other = words[read + 1] as number
    const awaitedLow = words[read + 2] as number
    const awaitedHigh = words[read + 3] as number
    if (!hasProgressed(words, other, awaitedHigh, awaitedLow)) return false
    const low = words[stream + PROGRESS_LOW] as number
    const high = words[stream + PROGRESS_HIGH] as number
    this.operations.takeOver(stream, other, awaitedHigh, awaitedLow, low, high)
    countCommand(this.at, stream, low, high)
    return true
  }

  /** Is the next call one that is run by one worker? */
  private isNextAlone(stream: number): boolean {
    const { control } = this.at
    let read = control.words[stream + READ] as number
    for (;;) {
      const kind = (control.words[read] as number) & KIND_MASK
      if (kind === LINK) read = this.followLink(read)
      else if (kind === WAIT) read += WAIT_WORDS
      else return kind === CALL && ((control.words[read + 5] as number) & ALONE) !== 0
    }
  }

  private followLink(read: number): number {
    const { control } = this.at
    const chunk = control.words[read + 1] as number
    if (chunk + CHUNK_WORDS > control.words.length) control.refresh()
    return chunk
  }
}
