/**
 * The buffers that CUPTI writes records to: one set in the process, found through the first block of the memory that all
 * threads share. They are never freed, because CUPTI may still write to them when tracing has ended.
 */
import { ledger } from "../ledger/ledger.js"
import { NEXT } from "../ledger/page.js"
import { type Attempt, MUTEX_BYTES, processMemory } from "../ledger/process-memory.js"
import { viewMemory } from "../native/ffi.js"
import {
  BUFFER_BYTES,
  BUFFERS,
  canRun,
  ENTRIES,
  ENTRY_BYTES,
  FIRST_BUFFER,
  FREE,
  makeCallbacks,
  mapMemory,
  type NativeCallbacks,
  REFUSED,
  RETURNED,
} from "./native-callbacks.js"

/** CUPTI's own threads and each thread that uses CUDA fill one at a time. */
const COUNT = 64
const BYTES = 4 * 2 ** 20
const TABLE_BYTES = ENTRIES + COUNT * ENTRY_BYTES

/** The field of the process's first block with the table's address, after the ledger's own. */
const TABLE = NEXT + 1
/** Fields of the table, of 8 bytes each. It begins with a mutex, which the thread that uses CUPTI holds. */
const REQUEST = MUTEX_BYTES / 8
const COMPLETED = REFUSED / 8 + 1

/** A buffer with records. */
export interface ReturnedBuffer {
  readonly address: number
  readonly bytes: DataView<ArrayBuffer>
}

export class CuptiBuffers {
  readonly #memory = processMemory()
  readonly #address: number
  readonly #first: number
  readonly #table: BigUint64Array<ArrayBuffer>

  /** @throws Error if this machine or its settings do not allow native callbacks */
  constructor() {
    if (!canRun(process.platform, process.arch)) {
      throw new Error(`CUPTI is used on Linux x64 only, not on ${process.platform} ${process.arch}`)
    }
    this.#address = ledger().locked(() => this.#findOrMake())
    this.#table = this.#at(this.#address)
    this.#first = this.#field(FIRST_BUFFER / 8)
  }

  get callbacks(): NativeCallbacks {
    return { request: this.#field(REQUEST), completed: this.#field(COMPLETED) }
  }

  /** How many buffers CUPTI has been refused, because all were full. */
  get refused(): number {
    return this.#field(REFUSED / 8)
  }

  /** Reserves CUPTI for this thread. "abandoned": a thread that used it has ended without {@link release}. */
  acquire(): Attempt {
    return this.#memory.tryLock(this.#address)
  }

  release(): void {
    this.#memory.unlock(this.#address)
  }

  /** Calls `read` with each returned buffer. CUPTI may fill all of them again when this returns. */
  take(read: (buffer: ReturnedBuffer) => void): void {
    for (let index = 0; index < COUNT; index++) {
      const entry = (ENTRIES + index * ENTRY_BYTES) / 8
      if (Atomics.load(this.#table, entry) !== BigInt(RETURNED)) continue
      const address = this.#first + index * BYTES
      const byteLength = this.#field(entry + 1)
      if (byteLength > 0) this.#read(address, byteLength, read)
      Atomics.store(this.#table, entry, BigInt(FREE))
    }
  }

  /** CUPTI expects zeros in a buffer that it is given. */
  #read(address: number, byteLength: number, read: (buffer: ReturnedBuffer) => void): void {
    const memory = viewMemory(address, byteLength)
    read({ address, bytes: new DataView(memory) })
    new Uint8Array(memory).fill(0)
  }

  #findOrMake(): number {
    const root = new Float64Array(this.#memory.root.buffer, 0, TABLE + 1)
    const known = root[TABLE] ?? 0
    if (known !== 0) return known
    const { address } = this.#memory.allocate(TABLE_BYTES)
    this.#memory.makeMutex(address)
    const table = this.#at(address)
    table[BUFFER_BYTES / 8] = BigInt(BYTES)
    table[FIRST_BUFFER / 8] = BigInt(mapMemory(COUNT * BYTES))
    table[BUFFERS / 8] = BigInt(COUNT)
    const { request, completed } = makeCallbacks(address)
    table[REQUEST] = BigInt(request)
    table[COMPLETED] = BigInt(completed)
    root[TABLE] = address
    return address
  }

  #at(address: number): BigUint64Array<ArrayBuffer> {
    return new BigUint64Array(this.#memory.at(address, TABLE_BYTES).buffer, 0, TABLE_BYTES / 8)
  }

  #field(index: number): number {
    return Number(this.#table[index] ?? 0n)
  }
}
