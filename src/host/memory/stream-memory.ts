import { Allocator } from "../../allocator/allocator.js"
import { MemoryCount } from "../../allocator/memory-count.js"
import type { MemoryUsage, OrderMark, PinnedMemory } from "../../driver.js"
import type { DeviceMemory } from "../control/memory.js"
import { Births } from "./births.js"
import type { Commands } from "../queue/commands.js"
import type { Completion } from "../completion/completion.js"
import type { HostStream } from "../queue/stream.js"
import { Uploads } from "./uploads.js"
import type { Waits } from "../queue/waits.js"

/** Hands out the device memory, in the order of the streams, and orders its first use on other streams. */
export class StreamMemory {
  readonly uploads: Uploads
  private readonly allocator: Allocator<HostStream>
  private readonly births = new Births()

  constructor(
    private readonly memory: DeviceMemory,
    commands: Commands,
    private readonly waits: Waits,
  ) {
    this.allocator = new Allocator<HostStream>(memory, new MemoryCount(), memory.first)
    this.uploads = new Uploads(memory, commands, this.allocator)
  }

  allocate(
    byteLength: number,
    stream: HostStream,
    happensBefore: (mark: OrderMark) => boolean,
    contentsFollow: boolean,
  ): number {
    const address = this.allocator.allocate(byteLength, stream, happensBefore)
    if (!contentsFollow && this.allocator.isEarly(address)) this.births.noteAllocation(address, stream)
    return address
  }

  noteContents(address: number, stream: HostStream): void {
    this.births.noteContents(address, stream, this.allocator.isEarly(address))
  }

  forgetContents(address: number): void {
    this.births.forgetContents(address)
  }

  /** @returns true if the birth is over, so that no stream needs to wait for it */
  orderBehindBirth(address: number, stream: HostStream, overwrites: boolean): boolean {
    const birth = this.births.get(address)
    if (birth === undefined) return true
    const isOver = this.waits.waitForBirth(stream, birth, overwrites)
    if (isOver) this.births.forget(address)
    return isOver
  }

  free(address: number, stream: HostStream, mark: OrderMark): void {
    this.births.forget(address)
    this.allocator.release(address, stream, stream.slot.tail, mark)
  }

  /** Blocks until all memory that was freed can be used again. @throws DeviceLostError */
  drainFrees(completion: Completion): void {
    this.allocator.forEachPending((stream, position) => completion.block(stream, position))
    this.allocator.harvest()
  }

  usage(): Pick<MemoryUsage, "used" | "reserved" | "peak"> {
    const { used, peak } = this.allocator.count
    return { used, reserved: this.memory.byteLength, peak }
  }

  resetPeak(): void {
    this.allocator.count.resetPeak()
  }

  /** Memory for the device itself, for as long as it is open. @throws OutOfMemoryError */
  reserve(byteLength: number): number {
    return this.allocator.allocateNow(byteLength)
  }

  allocatePinned(byteLength: number): PinnedMemory {
    const address = this.allocator.allocateNow(byteLength)
    this.memory.bytes.fill(0, address, address + byteLength)
    // A clone of a shared buffer is a new object over the same bytes. The runtime watches when it becomes unreachable.
    return { address, buffer: structuredClone(this.memory.memory.buffer), byteOffset: address, byteLength }
  }

  freePinned(address: number): void {
    this.allocator.releaseNow(address)
  }
}
