/**
 * What each open device of each thread owns in the driver, written down where every thread of the process finds it.
 *
 * All threads share a device's context. Some of what they own can be given back only while nothing runs there, be it another
 * thread's; and what the device of a Worker owned that ended without a word is for others to give back. So each open device
 * has a record with a page of what it owns. Only its own thread writes there, a handle before its kind and the kind's end
 * before the handle's, so that a thread may end at any place. Memory is written down by the driver itself, in the very call
 * that allocates it: a thread may end within that. The lock of a record is held by its thread for as long as the
 * device is open; one lock serves the list of records.
 */
import { type Block, MUTEX_BYTES, type ProcessMemory, processMemory } from "./process-memory.js"

/** Kinds of what is owned. */
export const OWNED = {
  stream: 1,
  /** Another library's. */
  adopted: 2,
  /** An event behind the last work of a stream that was destroyed. */
  end: 3,
  event: 4,
  memory: 5,
  pool: 6,
  pinned: 7,
  library: 8,
  /** A handle of cuBLAS. */
  products: 9,
  executable: 10,
  graph: 11,
  /** Host memory that is mapped, of so many bytes. */
  mapped: 12,
} as const
export type Owned = keyof typeof OWNED

/** States of a record. */
const OPEN = 1
const CLOSED = 2
const ABANDONED = 3

const HEADER_BYTES = 256
const ENTRY_BYTES = 16
const ENTRIES = 1008
/** Sizes are kept in multiples of it. */
const BYTES_UNIT = 4096
const PAGE_BYTES = HEADER_BYTES + ENTRIES * ENTRY_BYTES

/** Places in a header, in 8 bytes each, behind the mutex. */
const NEXT = MUTEX_BYTES / 8
const CONTEXT = NEXT + 1
const STATE = NEXT + 2
const MORE = NEXT + 3

/** A page: what a record's first one says of the device, and places for handles with their kinds. */
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

  /** Where the driver may write a handle, as 64 bits. */
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

/** A record as another thread, or its own, finds it under the list's lock. */
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

  /** Has its thread ended without closing the device? */
  get isAbandoned(): boolean {
    return this.#state === ABANDONED
  }

  /** Is its work over, and nothing of it used any more? */
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

  /** What it owns of a kind. */
  owned(kind: Owned): number[] {
    const handles: number[] = []
    this.#visit(OWNED[kind], (page, entry) => handles.push(page.handle(entry)))
    return handles
  }

  /** The same, and owns it no more: for its device, once that is closed or abandoned. */
  take(kind: Owned): number[] {
    return this.takeSized(kind).map(([handle]) => handle)
  }

  /** The same with the bytes of each. */
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

/** The record of a device of this thread. */
export class Holding {
  readonly #memory: ProcessMemory
  readonly #pages: Page[]
  /** Where each handle is. */
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

  /** `byteLength`: a multiple of 4096, for what is given back by its size. */
  add(kind: Owned, handle: number, byteLength = 0): void {
    if (!this.#isOpen) return
    const place = this.#free.pop() ?? this.#used++
    const page = this.#pageOf(place)
    page.setHandle(place % ENTRIES, handle)
    page.setByteLength(place % ENTRIES, byteLength)
    page.setKind(place % ENTRIES, OWNED[kind])
    this.#entries.set(handle, place)
  }

  /** Where the driver's next call is to write a handle, which is owned from then on. {@link settle} comes next. */
  reserve(kind: Owned): number {
    this.#reserved = this.#free.pop() ?? this.#used++
    const page = this.#pageOf(this.#reserved)
    const entry = this.#reserved % ENTRIES
    page.setHandle(entry, 0)
    page.setByteLength(entry, 0)
    page.setKind(entry, OWNED[kind])
    return page.addressOf(entry)
  }

  /** After that call. Gives the handle that the driver has written, 0 if the call has failed. */
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

  /** What is owned is of another kind from here on. */
  change(handle: number, kind: Owned): void {
    const place = this.#isOpen ? this.#entries.get(handle) : undefined
    if (place !== undefined) this.#pageOf(place).setKind(place % ENTRIES, OWNED[kind])
  }

  /** Comes before it is given back: what has been given back must not be found here. */
  remove(handle: number): void {
    const place = this.#isOpen ? this.#entries.get(handle) : undefined
    if (place === undefined) return
    this.#entries.delete(handle)
    this.#pageOf(place).setKind(place % ENTRIES, 0)
    this.#free.push(place)
  }

  /** What is owned stays with the context. */
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

  /** The device is closed. What is owned still is given back when nothing runs. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#pages[0]?.set(STATE, CLOSED)
    this.#memory.unlock(this.address)
  }
}

/** The list of the process' records, as one thread sees it. */
class Ledger {
  readonly #memory = processMemory()
  readonly #root = new Float64Array(this.#memory.root.buffer, 0, NEXT + 1)
  #depth = 0

  /** Runs under the lock: no record comes or goes meanwhile, and no stream or end that others could look at. */
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

  /** The records of a context. Under the lock. */
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

  /** Nothing is left of a record's. Under the lock. */
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
