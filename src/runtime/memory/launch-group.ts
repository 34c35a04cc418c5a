import { Uses } from "./uses.js"

/**
 * Graphs that share memory. Their launches are ordered, on whatever streams, and share one record, so that a launch
 * costs the clock the same however many arrays the graph names.
 */
export class LaunchGroup {
  #launches = new Uses()
  #larger: LaunchGroup | undefined
  /** How many it was made of. */
  #size = 1

  /** The record of launches of the whole group. */
  get launches(): Uses {
    return this.#root().#launches
  }

  /** Makes one group of two. */
  unite(other: LaunchGroup): void {
    const mine = this.#root()
    const theirs = other.#root()
    if (mine === theirs) return
    const [larger, smaller] = mine.#size > theirs.#size ? [mine, theirs] : [theirs, mine]
    for (const use of smaller.#launches.list()) larger.#launches.add(use)
    larger.#size += smaller.#size
    smaller.#larger = larger
  }

  /** Are both in one group? */
  isOneWith(other: LaunchGroup): boolean {
    return this.#root() === other.#root()
  }

  /** Leaves every second one on the way with a shorter way. */
  #root(): LaunchGroup {
    let group: LaunchGroup = this
    while (group.#larger !== undefined) {
      group.#larger = group.#larger.#larger ?? group.#larger
      group = group.#larger
    }
    return group
  }
}
