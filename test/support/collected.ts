/** Counts how many of its watched objects have been collected. */
export class Collected {
  count = 0
  readonly #registry = new FinalizationRegistry(() => (this.count += 1))

  watch<T extends object>(object: T): T {
    this.#registry.register(object, undefined)
    return object
  }
}
