import type { Allocator } from "../../allocator/allocator.js"
import type { Commands } from "../queue/commands.js"
import { MAX_WRITE_BYTES } from "../control/layout.js"
import type { DeviceMemory } from "../control/memory.js"
import type { HostStream } from "../queue/stream.js"

/** Copies from the caller's own memory to the device. The source has been read when the call returns. */
export class Uploads {
  readonly #memory: DeviceMemory
  readonly #commands: Commands
  readonly #allocator: Allocator<HostStream>

  constructor(memory: DeviceMemory, commands: Commands, allocator: Allocator<HostStream>) {
    this.#memory = memory
    this.#commands = commands
    this.#allocator = allocator
  }

  /** Copies at once if the stream is idle, otherwise queues a copy. @returns whether it is queued */
  queue(stream: HostStream, destination: number, source: Uint8Array): boolean {
    const { slot } = stream
    if (slot.isIdle()) {
      this.#memory.bytes.set(source, destination)
      return false
    }
    if (source.length <= MAX_WRITE_BYTES) this.#commands.write(slot, destination, source)
    else this.#queueStaged(stream, destination, source)
    return true
  }

  #queueStaged(stream: HostStream, destination: number, source: Uint8Array): void {
    const staging = this.#allocator.allocateNow(source.length)
    try {
      this.#memory.bytes.set(source, staging)
      this.#commands.copy(stream.slot, destination, staging, source.length)
    } finally {
      this.#allocator.release(staging, stream, stream.slot.tail, undefined)
    }
  }
}
