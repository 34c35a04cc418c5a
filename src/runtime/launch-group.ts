import { Uses } from "./uses.js"

/**
 * Graphs that share memory. Their launches are ordered, on whatever streams, and share one record, so that a launch
 * costs the clock the same however many arrays the graph names.
 */
export class LaunchGroup {
  #launches = new Uses()
  #larger: LaunchGroup | undefined

  /** The record of launches of the whole group. */
  get launches(): Uses {
    return this.#root().#launches
  }

  /** Makes one group of two. */
  unite(other: LaunchGroup): void {
    const mine = this.#root()
    const theirs = other.#root()
    if (mine === theirs) return
    for (const use of mine.#launches.list()) theirs.#launches.add(use)
    mine.#larger = theirs
  }

  /** Are both in one group? */
  isOneWith(other: LaunchGroup): boolean {
    return this.#root() === other.#root()
  }

  #root(): LaunchGroup {
    if (this.#larger === undefined) return this
    this.#larger = this.#larger.#root()
    return this.#larger
  }
}
