/**
 * What the reader chose: the part of the time in view, the selection, the search, the visible parts. Tells listeners of
 * each change.
 */

import type { Emphasis } from "../layout/emphasis.js"
import type { Hit } from "../layout/hit.js"
import type { Item } from "../layout/search.js"
import type { View } from "../layout/view.js"

export interface Search {
  readonly text: string
  readonly hits: readonly Item[]
  /** Which hit was shown last; −1 before the first. */
  readonly current: number
  readonly emphasis: Emphasis
}

export interface State {
  readonly view: View
  /** How far the lanes are scrolled, in pixels. */
  readonly scroll: number
  readonly selection: Item | undefined
  readonly hover: Hit | undefined
  readonly search: Search | undefined
  readonly showsWaits: boolean
  readonly showsSkippedWaits: boolean
  /** Whether the critical path stands out. */
  readonly showsPath: boolean
  readonly isDark: boolean
  readonly shows: "timeline" | "table"
}

export class Store {
  #state: State
  readonly #listeners: ((state: State, before: State) => void)[] = []

  constructor(state: State) {
    this.#state = state
  }

  get state(): State {
    return this.#state
  }

  /** Changes the given values, then tells all listeners. */
  set(changes: Partial<State>): void {
    const before = this.#state
    this.#state = { ...before, ...changes }
    for (const listener of this.#listeners) listener(this.#state, before)
  }

  /** Calls a function after each change. */
  listen(listener: (state: State, before: State) => void): void {
    this.#listeners.push(listener)
  }
}
