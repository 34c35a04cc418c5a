import type { GrowingMemory } from "./allocator.js"
import { wasm, type WasmMemory } from "./web-assembly.js"

/** Bytes of a WebAssembly page. */
const PAGE = 65536
/** Pages of 32-bit WebAssembly's largest memory: 4 GiB. */
const MAXIMUM_PAGES = 65536

const INITIAL_PAGES = 16

/** Bytes of the largest memory. */
const LIMIT = MAXIMUM_PAGES * PAGE

/** The device memory: one shared WebAssembly memory, an address is a byte offset in it. It grows and never shrinks. */
export class DeviceMemory implements GrowingMemory {
  readonly limit = LIMIT
  bytes: Uint8Array

  constructor(readonly memory: WasmMemory) {
    this.bytes = new Uint8Array(memory.buffer)
  }

  static create(): DeviceMemory {
    return new DeviceMemory(
      new wasm.Memory({ initial: INITIAL_PAGES, maximum: MAXIMUM_PAGES, shared: true }),
    )
  }

  /** A view that reaches to `end` at least: another thread may have grown the memory. */
  reaching(end: number): Uint8Array {
    while (end > this.bytes.length) this.bytes = new Uint8Array(this.memory.buffer)
    return this.bytes
  }

  get byteLength(): number {
    return this.bytes.length
  }

  tryReach(byteLength: number): boolean {
    try {
      this.memory.grow(Math.ceil((byteLength - this.bytes.length) / PAGE))
    } catch {
      return false
    }
    this.bytes = new Uint8Array(this.memory.buffer)
    return true
  }
}
