import type { HostStream } from "./stream.js"

/** Where memory begins in its stream's order. */
export interface HostBirth {
  readonly stream: HostStream
  readonly position: number
  /** Was the memory handed out while earlier work of its stream, or what that waits for, may have used it still? */
  readonly isEarly: boolean
  /** Is it behind first contents? */
  readonly hasContents: boolean
  /** Must nobody use the memory if they were skipped? Not once they have been overwritten. */
  readonly needsContents: boolean
}

/** The births that are not known to be over, by the memory's address. */
export class Births {
  private readonly births = new Map<number, HostBirth>()

  noteAllocation(address: number, stream: HostStream): void {
    this.births.set(address, {
      stream,
      position: stream.slot.tail,
      isEarly: true,
      hasContents: false,
      needsContents: false,
    })
  }

  noteContents(address: number, stream: HostStream, isEarly: boolean): void {
    this.births.set(address, { stream, position: stream.slot.tail, isEarly, hasContents: true, needsContents: true })
  }

  /** All of the memory is about to be overwritten. */
  forgetContents(address: number): void {
    const birth = this.births.get(address)
    if (birth?.needsContents === true) this.births.set(address, { ...birth, needsContents: false })
  }

  get(address: number): HostBirth | undefined {
    return this.births.get(address)
  }

  /** The memory is freed, or its birth is over. */
  forget(address: number): void {
    this.births.delete(address)
  }
}
