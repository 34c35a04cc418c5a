/**
 * Writes protobuf messages: numbers, strings, and messages inside messages. It knows no schema; the caller names each field by
 * its number. Fields appear in the order of the calls.
 */

const VARINT = 0
const FIXED64 = 1
const BYTES = 2

const encoder = new TextEncoder()

export class MessageWriter {
  #bytes = new Uint8Array(1 << 12)
  #length = 0

  /** What was written so far. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  /** An unsigned number below 2 ** 53, or a boolean. Of a negative or fractional number, the nearest that can be written. */
  number(field: number, value: number | boolean): this {
    this.#varint(field * 8 + VARINT)
    this.#varint(Math.max(0, Math.round(Number(value))))
    return this
  }

  /** An unsigned number below 2 ** 53 in eight bytes. */
  fixed64(field: number, value: number): this {
    this.#varint(field * 8 + FIXED64)
    this.#reserve(8)
    const view = new DataView(this.#bytes.buffer, this.#length)
    view.setUint32(0, value % 2 ** 32, true)
    view.setUint32(4, Math.floor(value / 2 ** 32), true)
    this.#length += 8
    return this
  }

  string(field: number, value: string): this {
    this.#varint(field * 8 + BYTES)
    const bytes = encoder.encode(value)
    this.#varint(bytes.length)
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
    return this
  }

  /** A message inside this one; `write` writes its fields. */
  message(field: number, write: (message: this) => void): this {
    this.#varint(field * 8 + BYTES)
    const start = this.#length
    write(this)
    const length = this.#length - start
    const size = sizeOfVarint(length)
    this.#reserve(size)
    this.#bytes.copyWithin(start + size, start, this.#length)
    this.#length = start
    this.#varint(length)
    this.#length += length
    return this
  }

  #varint(value: number): void {
    this.#reserve(8)
    let rest = value
    while (rest >= 128) {
      this.#bytes[this.#length++] = (rest % 128) + 128
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.#length++] = rest
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + count))
    larger.set(this.#bytes)
    this.#bytes = larger
  }
}

function sizeOfVarint(value: number): number {
  let size = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++
  return size
}
