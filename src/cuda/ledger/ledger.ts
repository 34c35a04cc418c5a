/**
 * Records what each open device of each thread owns in the driver, in memory that all threads of the process share.
 *
 * All threads share a device's context. Some resources can be freed only while the context is idle, including other threads'
 * work. And if a Worker ends without closing its device, other threads must free its resources. So each open device has a
 * record with pages of what it owns.
 *
 * Only a record's own thread may write to it. It writes a handle before its kind, and clears the kind before the handle, so
 * that it may end at any point. The driver itself writes the addresses of memory, in the call that allocates it, because a
 * thread may end inside that call. A thread holds the lock of its record while the device is open. The list of records has
 * a lock of its own.
 */
import { type Block, MUTEX_BYTES, type ProcessMemory, processMemory } from "./process-memory.js"

/** The kinds of resources. */
export const OWNED = {
  stream: 1,
  /** A foreign stream. */
  adopted: 2,
  /** An event behind the last work of a destroyed stream. */
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
const OPEN = 1
const CLOSED = 2
const ABANDONED = 3

const HEADER_BYTES = 256
const ENTRY_BYTES = 16
const ENTRIES = 1008
/** Sizes are stored in multiples of this. */
const BYTES_UNIT = 4096
const PAGE_BYTES = HEADER_BYTES + ENTRIES * ENTRY_BYTES

/** The fields of a header, of 8 bytes each, after the mutex. */
const NEXT = MUTEX_BYTES / 8
const CONTEXT = NEXT + 1
const STATE = NEXT + 2
const MORE = NEXT + 3

/** A page of a record: a header, used in the first page, and entries for handles with their kinds. */
class Page {
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

/** A record as any thread reads it. Must be used under the list's lock. */
export class LedgerRecord {
  readonly #memory: ProcessMemory
  readonly #first: Page
  readonly #pages: Page[]

  constructor(memory: ProcessMemory, address: number) {
    this.#memory = memory
    this.#first = new Page(memory.at(address, PAGE_BYTES))
    this.#pages = [this.#first]
    for (let more = this.#first.get(MORE); more !== 0; more = this.#pages.at(-1)?.get(MORE) ?? 0) {
      this.#pages.push(new Page(memory.at(more, PAGE_BYTES)))
    }
  }

  get address(): number {
    return this.#first.address
  }

  get next(): number {
    return this.#first.get(NEXT)
  }

  set next(address: number) {
    this.#first.set(NEXT, address)
  }

  get context(): number {
    return this.#first.get(CONTEXT)
  }

  /** Whether its thread has ended without closing the device. */
  get isAbandoned(): boolean {
    return this.#state === ABANDONED
  }

  /** Whether its device is closed: its work is over, and none of its resources is in use. */
  get isClosed(): boolean {
    return this.#state === CLOSED
  }

  get isOpen(): boolean {
    return this.#state === OPEN
  }

  get #state(): number {
    if (this.#first.get(STATE) === OPEN) {
      const attempt = this.#memory.tryLock(this.address)
      if (attempt === "abandoned") this.#first.set(STATE, ABANDONED)
      if (attempt !== "held") this.#memory.unlock(this.address)
    }
    return this.#first.get(STATE)
  }

  /** The resources of one kind. */
  owned(kind: Owned): number[] {
    const handles: number[] = []
    this.#visit(OWNED[kind], (page, entry) => handles.push(page.handle(entry)))
    return handles
  }

  /** Removes and returns the resources of one kind. The device must be closed or abandoned. */
  take(kind: Owned): number[] {
    return this.takeSized(kind).map(([handle]) => handle)
  }

  /** Like {@link take}, with the size of each in bytes. */
  takeSized(kind: Owned): [handle: number, byteLength: number][] {
    const taken: [number, number][] = []
    this.#visit(OWNED[kind], (page, entry) => {
      page.setKind(entry, 0)
      taken.push([page.handle(entry), page.byteLength(entry)])
    })
    return taken
  }

  #visit(kind: number, visit: (page: Page, entry: number) => void): void {
    for (const page of this.#pages) {
      for (let entry = 0; entry < ENTRIES; entry++) {
        if (page.kind(entry) === kind && page.handle(entry) !== 0) visit(page, entry)
      }
    }
  }

  free(): void {
    for (const { address } of this.#pages) this.#memory.free(address)
  }
}

/** The record of a device of this thread, which writes to it. */
export class Holding {
  readonly #memory: ProcessMemory
  readonly #pages: Page[]
  /** The entry of each handle. */
  readonly #entries = new Map<number, number>()
  readonly #free: number[] = []
  #used = 0
  #reserved = 0
  #isOpen = true

  constructor(memory: ProcessMemory, block: Block, context: number) {
    this.#memory = memory
    const page = new Page(block)
    this.#pages = [page]
    memory.makeMutex(block.address)
    memory.lock(block.address)
    page.set(CONTEXT, context)
    page.set(STATE, OPEN)
  }

  get address(): number {
    return this.#pages[0]?.address ?? 0
  }

  /** `byteLength`: a multiple of 4096, for resources that are freed by size. */
  add(kind: Owned, handle: number, byteLength = 0): void {
    if (!this.#isOpen) return
    const place = this.#free.pop() ?? this.#used++
    const page = this.#pageOf(place)
    page.setHandle(place % ENTRIES, handle)
    page.setByteLength(place % ENTRIES, byteLength)
    page.setKind(place % ENTRIES, OWNED[kind])
    this.#entries.set(handle, place)
  }

  /** The address where the next driver call must write a handle, which is then owned. {@link settle} must be called next. */
  reserve(kind: Owned): number {
    this.#reserved = this.#free.pop() ?? this.#used++
    const page = this.#pageOf(this.#reserved)
    const entry = this.#reserved % ENTRIES
    page.setHandle(entry, 0)
    page.setByteLength(entry, 0)
    page.setKind(entry, OWNED[kind])
    return page.addressOf(entry)
  }

  /** Called after the driver call. @returns the handle that the driver has written, 0 if the call failed */
  settle(hasWorked: boolean): number {
    const place = this.#reserved
    const handle = hasWorked ? this.#pageOf(place).handle(place % ENTRIES) : 0
    if (handle !== 0) {
      this.#entries.set(handle, place)
      return handle
    }
    this.#pageOf(place).setKind(place % ENTRIES, 0)
    this.#free.push(place)
    return 0
  }

  /** Changes the kind of a resource. */
  change(handle: number, kind: Owned): void {
    const place = this.#isOpen ? this.#entries.get(handle) : undefined
    if (place !== undefined) this.#pageOf(place).setKind(place % ENTRIES, OWNED[kind])
  }

  /** Removes a resource. Must be called before it is freed, because no thread may free it again. */
  remove(handle: number): void {
    const place = this.#isOpen ? this.#entries.get(handle) : undefined
    if (place === undefined) return
    this.#entries.delete(handle)
    this.#pageOf(place).setKind(place % ENTRIES, 0)
    this.#free.push(place)
  }

  /** Removes all resources without freeing them: they stay with the context. */
  clear(): void {
    for (const handle of this.#entries.keys()) this.remove(handle)
  }

  #pageOf(place: number): Page {
    const index = Math.floor(place / ENTRIES)
    return this.#pages[index] ?? this.#addPage()
  }

  #addPage(): Page {
    const page = new Page(this.#memory.allocate(PAGE_BYTES))
    this.#pages.at(-1)?.set(MORE, page.address)
    this.#pages.push(page)
    return page
  }

  /** The device is closed. What it still owns is freed when the context is idle. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#pages[0]?.set(STATE, CLOSED)
    this.#memory.unlock(this.address)
  }
}

/** The process's list of records, as one thread sees it. */
class Ledger {
  readonly #memory = processMemory()
  readonly #root = new Float64Array(this.#memory.root.buffer, 0, NEXT + 1)
  #depth = 0

  /** Runs `fn` under the lock, so that no record, stream or stream's end is added or removed by another thread. */
  locked<T>(fn: () => T): T {
    if (this.#depth++ === 0) this.#memory.lock(this.#memory.root.address)
    try {
      return fn()
    } finally {
      if (--this.#depth === 0) this.#memory.unlock(this.#memory.root.address)
    }
  }

  open(context: number): Holding {
    const holding = new Holding(this.#memory, this.#memory.allocate(PAGE_BYTES), context)
    this.locked(() => {
      new LedgerRecord(this.#memory, holding.address).next = this.#root[NEXT] ?? 0
      this.#root[NEXT] = holding.address
    })
    return holding
  }

  /** The records of a context. Must be called under the lock. */
  records(context: number): LedgerRecord[] {
    return this.#all().filter((record) => record.context === context)
  }

  #all(): LedgerRecord[] {
    const records: LedgerRecord[] = []
    for (let address = this.#root[NEXT] ?? 0; address !== 0; address = records.at(-1)?.next ?? 0) {
      records.push(new LedgerRecord(this.#memory, address))
    }
    return records
  }

  /** Removes a record without resources. Must be called under the lock. */
  remove(record: LedgerRecord): void {
    const before = this.#all().find(({ next }) => next === record.address)
    if (before === undefined) this.#root[NEXT] = record.next
    else before.next = record.next
    record.free()
  }
}

let opened: Ledger | undefined

/** The ledger of this process. */
export function ledger(): Ledger {
  opened ??= new Ledger()
  return opened
}
