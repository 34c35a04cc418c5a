import { Allocator, type Surroundings } from "../../allocator/allocator.js"
import { MemoryCount } from "../../allocator/memory-count.js"
import type { StreamHandle } from "../../driver/handles.js"
import type { DriverMemory, MemoryUsage, OrderMark, PinnedMemory, Rows } from "../../driver/memory.js"
import type { Completion } from "../completion/completion.js"
import type { DeviceMemory } from "../control/memory.js"
import type { Commands } from "../queue/commands.js"
import type { Queues } from "../queue/queues.js"
import type { HostStream } from "../queue/stream.js"
import type { Waits } from "../queue/waits.js"
import { Births } from "./births.js"
import { availableMemory } from "./system-memory.js"
import { Uploads } from "./uploads.js"

/** What {@link HostMemory} is made of. */
export interface MemoryParts {
  readonly memory: DeviceMemory
  /** The most bytes that the memory can grow to. */
  readonly total: number
  readonly queues: Queues
  readonly commands: Commands
  readonly waits: Waits
  readonly completion: Completion
}

/** The memory of the host device, in the order of the streams, and what moves bytes in it. */
export class HostMemory implements DriverMemory {
  readonly #memory: DeviceMemory
  readonly #total: number
  readonly #queues: Queues
  readonly #commands: Commands
  readonly #waits: Waits
  readonly #completion: Completion
  readonly #allocator: Allocator<HostStream>
  readonly #births = new Births()
  readonly #uploads: Uploads

  constructor({ memory, total, queues, commands, waits, completion }: MemoryParts) {
    this.#memory = memory
    this.#total = total
    this.#queues = queues
    this.#commands = commands
    this.#waits = waits
    this.#completion = completion
    this.#allocator = new Allocator<HostStream>(memory, new MemoryCount(), memory.first)
    this.#uploads = new Uploads(memory, commands, this.#allocator)
  }

  allocate(
    byteLength: number,
    handle: StreamHandle,
    happensBefore: (mark: OrderMark) => boolean,
    contentsFollow = false,
  ): number {
    this.#queues.check()
    const stream = this.#queues.get(handle)
    const address = this.#allocator.allocate(byteLength, stream, happensBefore)
    if (!contentsFollow && this.#allocator.isEarly(address)) this.#births.noteAllocation(address, stream)
    return address
  }

  noteContents(address: number, stream: StreamHandle): void {
    this.#births.noteContents(address, this.#queues.get(stream), this.#allocator.isEarly(address))
  }

  forgetContents(address: number): void {
    this.#births.forgetContents(address)
  }

  orderBehindBirth(address: number, stream: StreamHandle, overwrites = false): boolean {
    this.#queues.check()
    const birth = this.#births.get(address)
    if (birth === undefined) return true
    const isOver = this.#waits.waitForBirth(this.#queues.get(stream), birth, overwrites)
    if (isOver) this.#births.forget(address)
    return isOver
  }

  free(address: number, handle: StreamHandle, mark: OrderMark): void {
    if (this.#queues.isLost) return
    const stream = this.#queues.get(handle)
    this.#births.forget(address)
    this.#allocator.release(address, stream, stream.slot.tail, mark)
  }

  drainFrees(): void {
    this.#queues.check()
    this.#allocator.forEachPending((stream, position) => this.#completion.block(stream, position))
    this.#allocator.harvest()
  }

  /** Does nothing: the allocator reads the progress of the streams itself. */
  noteIdle(): void {}

  usage(): MemoryUsage {
    this.#queues.check()
    const { used, peak } = this.#allocator.count
    const reserved = this.#memory.byteLength
    const free = Math.max(0, Math.min(this.#total - reserved, availableMemory()))
    return { used, reserved, peak, free, total: this.#total }
  }

  /** Does nothing: a WebAssembly memory cannot shrink. */
  trim(): void {
    this.#queues.check()
  }

  resetPeak(): void {
    this.#allocator.count.resetPeak()
  }

  /** Memory for the device itself, for as long as it is open. @throws OutOfMemoryError */
  reserve(byteLength: number): number {
    return this.#allocator.allocateNow(byteLength)
  }

  allocatePinned(byteLength: number, isStaging = false): PinnedMemory {
    this.#queues.check()
    const address = this.#allocator.allocateNow(byteLength)
    const { buffer } = this.#memory.memory
    if (isStaging) return { address, buffer, byteOffset: address, byteLength }
    this.#memory.bytes.fill(0, address, address + byteLength)
    // A clone of a shared buffer is a new object over the same bytes. The runtime watches when it becomes unreachable.
    return { address, buffer: structuredClone(buffer), byteOffset: address, byteLength }
  }

  freePinned(address: number): void {
    if (!this.#queues.isLost) this.#allocator.releaseNow(address)
  }

  /** Has later allocations keep memory beside them that belongs to nobody, or not. */
  guard(isOn: boolean): void {
    this.#allocator.guard(isOn)
  }

  /** The allocation that contains an address, with the memory beside it that belongs to nobody. */
  around(address: number): Surroundings | undefined {
    return this.#allocator.around(address)
  }

  /** Copies memory as it is now. @returns the address of the copy @throws OutOfMemoryError */
  copyNow(address: number, byteLength: number): number {
    const copy = this.#allocator.allocateNow(byteLength)
    this.#memory.reaching(Math.max(address, copy) + byteLength).copyWithin(copy, address, address + byteLength)
    return copy
  }

  /** Frees such a copy that no stream uses. */
  dropCopy(copy: number): void {
    this.#allocator.releaseNow(copy)
  }

  /** Frees such a copy once a stream has run everything that is queued on it. */
  freeCopy(copy: number, stream: HostStream): void {
    this.#allocator.release(copy, stream, stream.slot.tail, undefined)
  }

  check(address: number, byteLength: number): void {
    this.#queues.check()
    this.#memory.check(address, byteLength)
  }

  bytesNow(address: number, byteLength: number, stream: StreamHandle): Uint8Array | undefined {
    const { branch, slot } = this.#queues.usable(stream)
    if (branch !== undefined || !slot.isIdle()) return undefined
    return this.#memory.reaching(address + byteLength).subarray(address, address + byteLength)
  }

  copy(destination: number, source: number, byteLength: number, stream: StreamHandle): void {
    const target = this.#queues.usable(stream)
    const { branch } = target
    if (branch !== undefined) return branch.commands.copy(branch, destination, source, byteLength)
    this.#commands.copy(target.slot, destination, source, byteLength)
    this.#queues.submit(target)
  }

  upload(destination: number, source: Uint8Array, stream: StreamHandle): void {
    const target = this.#queues.usable(stream)
    if (this.#uploads.queue(target, destination, source)) this.#queues.submit(target)
  }

  fill(destination: number, element: Uint8Array, count: number, stream: StreamHandle): void {
    const target = this.#queues.usable(stream)
    const { branch } = target
    if (branch !== undefined) return branch.commands.fill(branch, destination, element, count)
    this.#commands.fill(target.slot, destination, element, count)
    this.#queues.submit(target)
  }

  copyRows(destination: Rows, source: Rows, width: number, rows: number, stream: StreamHandle): void {
    const target = this.#queues.usable(stream)
    const { branch } = target
    if (branch !== undefined) return branch.commands.copyRows(branch, destination, source, width, rows)
    this.#commands.copyRows(target.slot, destination, source, width, rows)
    this.#queues.submit(target)
  }

  fillRows(destination: Rows, element: Uint8Array, count: number, rows: number, stream: StreamHandle): void {
    const target = this.#queues.usable(stream)
    const { branch } = target
    if (branch !== undefined) return branch.commands.fillRows(branch, destination, element, count, rows)
    this.#commands.fillRows(target.slot, destination, element, count, rows)
    this.#queues.submit(target)
  }
}
