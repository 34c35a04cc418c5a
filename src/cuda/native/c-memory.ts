/**
 * JavaScript memory that C reads and writes. Its buffer is too large for V8's own heap, so it never moves, and its address is
 * looked up once. C must never use it after it has become unreachable.
 */
import { koffi } from "./ffi.js"

const LEAST_BYTES = 256

/** A block of bytes with a fixed address. It must stay reachable for as long as C may use it. */
export class CMemory {
  readonly address: number
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly #words: Uint32Array<ArrayBuffer>
  readonly #bigints: BigUint64Array<ArrayBuffer>
  readonly #floats: Float32Array<ArrayBuffer>

  constructor(byteLength: number) {
    const buffer = new ArrayBuffer(Math.max(LEAST_BYTES, Math.ceil(byteLength / 8) * 8))
    this.address = Number(koffi().address(buffer))
    this.bytes = new Uint8Array(buffer)
    this.#words = new Uint32Array(buffer)
    this.#bigints = new BigUint64Array(buffer)
    this.#floats = new Float32Array(buffer)
  }

  /** The unsigned 64-bit number at an offset that is a multiple of 8: an address, a handle or a size. */
  number(byteOffset: number): number {
    const word = byteOffset >>> 2
    return (this.#words[word + 1] ?? 0) * 0x1_0000_0000 + (this.#words[word] ?? 0)
  }

  /** Stores an unsigned 64-bit number at an offset that is a multiple of 8. */
  setNumber(byteOffset: number, value: number): void {
    const word = byteOffset >>> 2
    this.#words[word] = value % 0x1_0000_0000
    this.#words[word + 1] = value / 0x1_0000_0000
  }

  /** Like {@link number}, for values that may be 2^53 or larger. */
  bigint(byteOffset: number): bigint {
    return this.#bigints[byteOffset >>> 3] ?? 0n
  }

  /** Stores an unsigned 64-bit number at an offset that is a multiple of 8. */
  setBigint(byteOffset: number, value: bigint): void {
    this.#bigints[byteOffset >>> 3] = value
  }

  /** The signed 32-bit number at an offset that is a multiple of 4. */
  int(byteOffset: number): number {
    return (this.#words[byteOffset >>> 2] ?? 0) | 0
  }

  /** Stores a 32-bit number at an offset that is a multiple of 4. */
  setInt(byteOffset: number, value: number): void {
    this.#words[byteOffset >>> 2] = value
  }

  /** The 32-bit floating point number at an offset that is a multiple of 4. */
  float(byteOffset: number): number {
    return this.#floats[byteOffset >>> 2] ?? 0
  }

  /** The text at an offset, up to its zero byte. */
  text(byteOffset = 0): string {
    const end = this.bytes.indexOf(0, byteOffset)
    return new TextDecoder().decode(this.bytes.subarray(byteOffset, end < 0 ? undefined : end))
  }

  /**
   * Does nothing. Calling it after the `await` of an asynchronous call keeps the memory reachable until then.
   */
  release(): void {}
}

/** An array of C strings: the pointers, then the texts. */
export function cStrings(texts: readonly string[]): CMemory {
  const encoded = texts.map((text) => new TextEncoder().encode(`${text}\0`))
  const pointers = encoded.length * 8
  const memory = new CMemory(encoded.reduce((total, bytes) => total + bytes.length, pointers))
  let offset = pointers
  encoded.forEach((bytes, index) => {
    memory.setNumber(index * 8, memory.address + offset)
    memory.bytes.set(bytes, offset)
    offset += bytes.length
  })
  return memory
}
