import { ALIGNMENT, type MemorySource, type Stretch } from "../../allocator/allocator.js"
import type { MemoryCount } from "../../allocator/memory-count.js"
import { AuxstreamError, OutOfMemoryError } from "../../common/errors.js"
import { MAXIMUM_PAGES, sharedMemory, type WasmMemory } from "./web-assembly.js"

/** Bytes of a WebAssembly page. */
const PAGE = 65536

const INITIAL_PAGES = 16
const LEAST_BALLAST = 16 * 2 ** 20
const MOST_BALLAST = 256 * 2 ** 20
const GROWTH_LIMIT = 256 * 2 ** 20

/** Bytes of the largest memory. */
export const LIMIT = MAXIMUM_PAGES * PAGE

/** The device memory: one shared WebAssembly memory. An address is a byte offset in it. It grows and never shrinks. */
export class DeviceMemory implements MemorySource {
  readonly isContiguous = true
  bytes: Uint8Array
  #ints: Int32Array
  /**
   * V8 does not count shared memory when it decides whether to collect garbage, so a closed device's memory would never be
   * collected. V8 does count this private buffer, which is never used and is freed with the device's memory.
   */
  ballast: ArrayBuffer | undefined

  constructor(readonly memory: WasmMemory) {
    this.bytes = new Uint8Array(memory.buffer)
    this.#ints = new Int32Array(memory.buffer)
  }

  static create(): DeviceMemory {
    return new DeviceMemory(sharedMemory(INITIAL_PAGES))
  }

  /** A view of at least `end` bytes: another thread may have grown the memory. */
  reaching(end: number): Uint8Array {
    while (end > this.bytes.length) this.bytes = new Uint8Array(this.memory.buffer)
    return this.bytes
  }

  /** The int32 at an address, which other threads may be writing. */
  loadInt32(address: number): number {
    const { buffer } = this.reaching(address + 4)
    if (this.#ints.buffer !== buffer) this.#ints = new Int32Array(buffer)
    return Atomics.load(this.#ints, address / 4)
  }

  get byteLength(): number {
    return this.bytes.length
  }

  /** The device is closed. From now on the garbage collector sees how much memory this object holds. */
  retire(): void {
    try {
      this.ballast = new ArrayBuffer(Math.max(LEAST_BALLAST, Math.min(this.bytes.length, MOST_BALLAST)))
    } catch {
      // Without the ballast the memory is collected later.
    }
  }

  /** The memory at the start, without its first bytes: they are never allocated, so that no address is 0. */
  get first(): Stretch {
    return { address: ALIGNMENT, byteLength: this.byteLength - ALIGNMENT }
  }

  /** Refuses a range that no array can have. @throws AuxstreamError AUX_OUT_OF_RANGE */
  check(address: number, byteLength: number): void {
    if (address + byteLength <= this.byteLength && (address >= ALIGNMENT || byteLength === 0)) return
    throw new AuxstreamError(
      "AUX_OUT_OF_RANGE",
      `\`address\` must lie in the host device's memory, from byte ${ALIGNMENT} to ${this.byteLength}; got ${address} for ` +
        `${byteLength} bytes. Use the addresses of the device's own arrays.`,
    )
  }

  /** Grows by more than is needed, so that it rarely has to grow. */
  extend(byteLength: number, room: number): Stretch | undefined {
    const before = this.byteLength
    const needed = before + byteLength - room
    if (needed > LIMIT) return undefined
    const generous = Math.min(LIMIT, Math.max(needed, before + Math.min(before, GROWTH_LIMIT)))
    if (!this.#tryReach(generous) && !this.#tryReach(needed)) return undefined
    return { address: before, byteLength: this.byteLength - before }
  }

  outOfMemory(byteLength: number, { used, other }: MemoryCount): OutOfMemoryError {
    return new OutOfMemoryError(
      `The host device cannot allocate ${byteLength} bytes: arrays use ${used} bytes, pinned and staging memory ${other}, of ` +
        `${this.byteLength} reserved and at most ${LIMIT}. Dispose of arrays, or work in smaller pieces.`,
    )
  }

  #tryReach(byteLength: number): boolean {
    try {
      this.memory.grow(Math.ceil((byteLength - this.bytes.length) / PAGE))
    } catch {
      return false
    }
    this.bytes = new Uint8Array(this.memory.buffer)
    return true
  }
}
