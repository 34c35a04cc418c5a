/** Saves a policy's decisions a while after they were made, and at the end of the process. */
import process from "node:process"
import { setTimeout } from "../../common/timers.js"

/** Several decisions are saved together. In milliseconds. */
const DELAY = 1000

/** Those with something to save. The process's end saves them, with one listener for all. */
const unsaved = new Set<Saving>()
let listens = false

function saveAll(): void {
  for (const saving of unsaved) saving.finish()
}

/** See the head of this file. */
export class Saving {
  readonly #save: (waits: boolean) => boolean
  #isDue = false

  /** @param save saves everything. Returns false if it must be tried again. Must not throw */
  constructor(save: (waits: boolean) => boolean) {
    this.#save = save
  }

  /** There is something to save. */
  request(): void {
    unsaved.add(this)
    if (!listens) process.on("exit", saveAll)
    listens = true
    this.#later()
  }

  #later(): void {
    if (this.#isDue) return
    this.#isDue = true
    // The process may end before: then its end saves.
    setTimeout(() => {
      this.#isDue = false
      if (!unsaved.has(this)) return
      if (this.#save(false)) unsaved.delete(this)
      else this.#later()
    }, DELAY).unref()
  }

  /** Saves now. */
  finish(): void {
    if (unsaved.delete(this)) this.#save(true)
  }

  /** Everything was saved. */
  saved(): void {
    unsaved.delete(this)
  }
}
