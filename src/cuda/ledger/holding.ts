import { CMemory } from "../native/c-memory.js"
import { CLOSED, CONTEXT, ENTRIES, MORE, OPEN, OWNED, type Owned, Page, PAGE_BYTES, STATE } from "./page.js"
import type { Block, ProcessMemory } from "./process-memory.js"

const SUCCESS = 0

/** After the device was closed, its record may be gone. */
function makeUnowned(create: (out: number) => number): { readonly status: number; readonly handle: number } {
  const out = new CMemory(8)
  const status = create(out.address)
  return { status, handle: status === SUCCESS ? out.number(0) : 0 }
}

/** The record of a device of this thread, which writes to it. */
export class Holding {
  readonly #memory: ProcessMemory
  readonly #pages: Page[]
  /** The entry of each handle. */
  readonly #entries = new Map<number, number>()
  readonly #free: number[] = []
  #used = 0
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

  get isOpen(): boolean {
    return this.#isOpen
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

  /**
   * Calls `create` with the address where the driver must write a handle. The resource is owned from inside that call on,
   * because the thread may end there.
   *
   * @returns the status, and the handle, which is 0 if the call failed
   */
  make(kind: Owned, create: (out: number) => number): { readonly status: number; readonly handle: number } {
    if (!this.#isOpen) return makeUnowned(create)
    const place = this.#free.pop() ?? this.#used++
    const page = this.#pageOf(place)
    const entry = place % ENTRIES
    page.setHandle(entry, 0)
    page.setByteLength(entry, 0)
    page.setKind(entry, OWNED[kind])
    let handle = 0
    try {
      const status = create(page.addressOf(entry))
      if (status === SUCCESS) handle = page.handle(entry)
      return { status, handle }
    } finally {
      if (handle === 0) this.#release(place)
      else this.#entries.set(handle, place)
    }
  }

  #release(place: number): void {
    this.#pageOf(place).setKind(place % ENTRIES, 0)
    this.#free.push(place)
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
    this.#release(place)
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
