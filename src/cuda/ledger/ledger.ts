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
import { Holding } from "./holding.js"
import { NEXT, PAGE_BYTES } from "./page.js"
import { processMemory } from "./process-memory.js"
import { LedgerRecord } from "./record.js"

/** The process's list of records, as one thread sees it. */
class Ledger {
  readonly #memory = processMemory()
  readonly #root = new Float64Array(this.#memory.root.buffer, 0, NEXT + 1)
  /** The devices that this thread has open, or had. */
  #own: Holding[] = []
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
    this.#own = [...this.#own.filter(({ isOpen }) => isOpen), holding]
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

  /** Whether another thread has a device open. Must be called under the lock; then none can open one meanwhile. */
  areOthersOpen(): boolean {
    const own = new Set(this.#own.filter(({ isOpen }) => isOpen).map(({ address }) => address))
    return this.#all().some((record) => !own.has(record.address) && record.isOpen)
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
