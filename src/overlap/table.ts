/** The entries of one policy on one device. It must never keep more than {@link MOST_KEYS} keys of each kind of call. */
import { warnOnce } from "../common/warn.js"
import type { DeviceOrder } from "../runtime/order/device-order.js"
import type { OverlapKey } from "../runtime/order/policy/overlap-policy.js"
import { Entry, type EntryOwner } from "./entry.js"
import type { DeviceFacts } from "./file/environment.js"
import { type CallKind, MOST_KEYS, type StoredDecision } from "./file/stored.js"
import { Sampler } from "./sampling/sampler.js"

/** How many keys make room for new ones at a time, because finding the least recently used ones looks at all keys. */
const ROOM = MOST_KEYS / 8

/** Finds what a file knows of a key. */
export type StoredLookup = (kind: CallKind, key: OverlapKey) => StoredDecision | undefined

/** See the head of this file. */
export class Table {
  /** Undefined before the first call, and once the device was closed. */
  order: DeviceOrder | undefined
  sampler: Sampler | undefined
  readonly device: DeviceFacts
  readonly eager = new Map<OverlapKey, Entry>()
  readonly captured = new Map<OverlapKey, Entry>()
  readonly #owner: EntryOwner
  readonly #stored: StoredLookup
  /** The entry of the latest eager call. */
  #latest: Entry | undefined
  #uses = 0

  constructor(device: DeviceFacts, owner: EntryOwner, stored: StoredLookup) {
    this.device = device
    this.#owner = owner
    this.#stored = stored
  }

  /** The device was opened, perhaps again. The times of calls from before can never be read. */
  open(order: DeviceOrder): void {
    if (this.order !== undefined) for (const entry of this.eager.values()) entry.beginAgain()
    this.order = order
    this.sampler = Sampler.of(order)
  }

  /** The entry of eager calls with this key. */
  entryOf(key: OverlapKey): Entry {
    const latest = this.#latest
    return latest !== undefined && latest.key === key ? latest : this.#changeTo(key)
  }

  /** Apart, because most calls have the key of the call before. Only a change is counted as a use. */
  #changeTo(key: OverlapKey): Entry {
    if (this.#latest !== undefined) this.#latest.lastUse = ++this.#uses
    const entry = this.eager.get(key) ?? this.#add("eager", key)
    entry.lastUse = ++this.#uses
    this.#latest = entry
    return entry
  }

  /** The entry of graphs with this key. */
  capturedEntryOf(key: OverlapKey): Entry {
    const entry = this.captured.get(key) ?? this.#add("captured", key)
    entry.lastUse = ++this.#uses
    return entry
  }

  /** The state of graphs with this key, if there are any. */
  findCaptured(key: OverlapKey): Entry | undefined {
    const known = this.captured.get(key)
    return known === undefined && this.#stored("captured", key) !== undefined ? this.capturedEntryOf(key) : known
  }

  #add(kind: CallKind, key: OverlapKey): Entry {
    const entries = this[kind]
    if (entries.size >= MOST_KEYS) this.#makeRoom(entries)
    if (key === 0) key = 0 // Not -0, which a map takes for the same key.
    const entry = new Entry(this.#owner, key, kind === "eager", this.#stored(kind, key))
    if (entry.isEarly && !this.#owner.isEarly) entry.measureAgain()
    entries.set(key, entry)
    return entry
  }

  #makeRoom(entries: Map<OverlapKey, Entry>): void {
    warnOnce(
      `keys of ${this.#owner.name}`,
      `The overlap policy "${this.#owner.name}" has seen more than ${MOST_KEYS} keys, and forgets the least recently ` +
        "used ones. Use keys that repeat, such as the number of tokens rounded up to a power of two.",
      "AUX_MANY_KEYS",
    )
    const oldest = [...entries.values()].toSorted((a, b) => a.lastUse - b.lastUse)
    for (const { key } of oldest.slice(0, ROOM)) entries.delete(key)
  }
}
