import type { Birth } from "./birth.js"
import { LaunchGroup } from "./launch-group.js"
import { Uses } from "./uses.js"
import type { Writes } from "./writes.js"
import type { Use } from "../order/stream-state.js"

/**
 * Memory that graphs may keep after its owner's `dispose()`: it is freed only after the graphs that use it are gone and
 * their last launches are done.
 */
export abstract class RetainedMemory {
  // The fields that every operation reads are here, so that they are at one place in objects of all subclasses. Then the
  // engine compiles each access into a single load. They are only declared, because with more than four subclasses the
  // engine takes 0.1 µs to define a field, but not to set one in the constructor.
  declare readonly uses: Uses
  /** The birth; undefined if the memory was not allocated in a stream's order. */
  declare readonly birth: Birth | undefined
  /** See {@link UsedMemory.writes}. */
  declare readonly writes: Writes | undefined
  #disposed = false
  #holds = 0
  #launchGroup: LaunchGroup | undefined

  constructor(birth?: Birth, writes?: Writes) {
    this.uses = new Uses()
    this.birth = birth
    this.writes = writes
  }

  /** Whether its owner has disposed of it. */
  get disposed(): boolean {
    return this.#disposed
  }

  /** The group of the graphs that use it. */
  get launchGroup(): LaunchGroup {
    this.#launchGroup ??= new LaunchGroup()
    return this.#launchGroup
  }

  /** Another graph uses the memory. */
  retain(): void {
    this.#holds += 1
  }

  /** A graph that used the memory is gone. Its launches count as uses. */
  release(launches: readonly Use[]): void {
    for (const use of launches) this.uses.add(use)
    this.#holds -= 1
    if (this.#holds === 0 && this.#disposed) this.free()
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    if (this.#holds === 0) this.free()
  }

  /** Frees the memory after every use. */
  protected abstract free(): void
}
