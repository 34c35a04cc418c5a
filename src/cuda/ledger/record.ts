import {
  ABANDONED,
  CLOSED,
  CONTEXT,
  ENTRIES,
  MORE,
  NEXT,
  OPEN,
  OWNED,
  type Owned,
  Page,
  PAGE_BYTES,
  STATE,
} from "./page.js"
import type { ProcessMemory } from "./process-memory.js"

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

  /**
   * Removes the resources of one kind, and calls `release` for each when it is removed. The device must be closed or
   * abandoned. If this thread ends meanwhile, or `release` throws, the next thread finds the others still here.
   */
  take(kind: Owned, release: (handle: number, byteLength: number) => void): void {
    this.#visit(OWNED[kind], (page, entry) => {
      page.setKind(entry, 0)
      release(page.handle(entry), page.byteLength(entry))
    })
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
