/**
 * The pages of a record, in memory that all threads share. Only the record's own thread may write to them.
 */
import { type Block, MUTEX_BYTES } from "./process-memory.js"

/** The kinds of resources. */
export const OWNED = {
  stream: 1,
  /** A foreign stream. */
  adopted: 2,
  /** An event after the last work of a destroyed stream. */
  end: 3,
  event: 4,
  memory: 5,
  pool: 6,
  pinned: 7,
  library: 8,
  /** A handle of cuBLASLt. */
  products: 9,
  executable: 10,
  graph: 11,
  /** Mapped host memory, with its size. */
  mapped: 12,
  /** A handle of cuBLAS. */
  groups: 13,
} as const
export type Owned = keyof typeof OWNED

/** The states of a record. */
export const OPEN = 1
export const CLOSED = 2
export const ABANDONED = 3

const HEADER_BYTES = 256
const ENTRY_BYTES = 16
export const ENTRIES = 1008
/** Sizes are stored in multiples of this. */
const BYTES_UNIT = 4096
export const PAGE_BYTES = HEADER_BYTES + ENTRIES * ENTRY_BYTES

/** The fields of a header, of 8 bytes each, after the mutex. */
export const NEXT = MUTEX_BYTES / 8
export const CONTEXT = NEXT + 1
export const STATE = NEXT + 2
export const MORE = NEXT + 3

/** A page of a record: a header, used in the first page, and entries for handles with their kinds. */
export class Page {
  readonly address: number
  readonly #numbers: Float64Array
  readonly #kinds: Int32Array
  readonly #words: Uint32Array

  constructor({ address, buffer }: Block) {
    this.address = address
    this.#numbers = new Float64Array(buffer, 0, PAGE_BYTES / 8)
    this.#kinds = new Int32Array(buffer, 0, PAGE_BYTES / 4)
    this.#words = new Uint32Array(buffer, 0, PAGE_BYTES / 4)
  }

  get(place: number): number {
    return this.#numbers[place] ?? 0
  }

  set(place: number, value: number): void {
    this.#numbers[place] = value
  }

  kind(entry: number): number {
    return this.#kinds[(HEADER_BYTES + entry * ENTRY_BYTES) / 4 + 2] ?? 0
  }

  /** The address where the driver may write a 64-bit handle. */
  addressOf(entry: number): number {
    return this.address + HEADER_BYTES + entry * ENTRY_BYTES
  }

  handle(entry: number): number {
    const word = (HEADER_BYTES + entry * ENTRY_BYTES) / 4
    return (this.#words[word + 1] ?? 0) * 0x1_0000_0000 + (this.#words[word] ?? 0)
  }

  setHandle(entry: number, handle: number): void {
    const word = (HEADER_BYTES + entry * ENTRY_BYTES) / 4
    this.#words[word] = handle % 0x1_0000_0000
    this.#words[word + 1] = handle / 0x1_0000_0000
  }

  byteLength(entry: number): number {
    return (this.#kinds[(HEADER_BYTES + entry * ENTRY_BYTES) / 4 + 3] ?? 0) * BYTES_UNIT
  }

  setByteLength(entry: number, byteLength: number): void {
    this.#kinds[(HEADER_BYTES + entry * ENTRY_BYTES) / 4 + 3] = byteLength / BYTES_UNIT
  }

  setKind(entry: number, kind: number): void {
    this.#kinds[(HEADER_BYTES + entry * ENTRY_BYTES) / 4 + 2] = kind
  }
}
