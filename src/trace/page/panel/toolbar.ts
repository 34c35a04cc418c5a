/** The search field and the buttons above the timeline. */

import { formatCount } from "../../layout/text/times.js"
import type { Actions } from "../actions.js"
import { byId } from "../dom.js"
import type { State, Store } from "../state.js"

export class Toolbar {
  readonly #search = byId("search", HTMLInputElement)
  readonly #count = byId("count", HTMLElement)
  readonly #actions: Actions

  constructor(store: Store, actions: Actions, toggleHelp: () => void) {
    this.#actions = actions
    this.#listenToSearch()
    const buttons: Record<string, () => void> = {
      previous: () => actions.nextHit(-1),
      next: () => actions.nextHit(1),
      "zoom-in": () => actions.zoomBy(1.6),
      "zoom-out": () => actions.zoomBy(1 / 1.6),
      fit: () => actions.fitAll(),
      waits: () => actions.toggle("showsWaits"),
      skipped: () => actions.toggle("showsSkippedWaits"),
      path: () => actions.toggle("showsPath"),
      table: () => actions.toggleTable(),
      theme: () => actions.toggle("isDark"),
      keys: toggleHelp,
    }
    for (const [id, run] of Object.entries(buttons)) byId(id, HTMLButtonElement).addEventListener("click", run)
    store.listen((state) => this.#show(state))
    this.#show(store.state)
  }

  focusSearch(): void {
    this.#search.focus()
    this.#search.select()
  }

  #listenToSearch(): void {
    this.#search.addEventListener("input", () => this.#actions.search(this.#search.value))
    this.#search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#actions.nextHit(event.shiftKey ? -1 : 1)
      else if (event.key === "Escape") {
        this.#actions.search("")
        this.#search.blur()
      } else return
      event.preventDefault()
    })
  }

  #show({ search, showsWaits, showsSkippedWaits, showsPath, shows, isDark }: State): void {
    if (search === undefined && document.activeElement !== this.#search) this.#search.value = ""
    const place = search !== undefined && search.current >= 0 ? `${formatCount(search.current + 1)} of ` : ""
    this.#count.textContent = search === undefined ? "" : `${place}${formatCount(search.hits.length)}`
    const isFound = search !== undefined && search.hits.length > 0
    for (const id of ["previous", "next"]) byId(id, HTMLButtonElement).disabled = !isFound
    this.#search.classList.toggle("nothing", search !== undefined && !isFound)
    const pressed = {
      waits: showsWaits,
      skipped: showsSkippedWaits,
      path: showsPath,
      table: shows === "table",
      theme: isDark,
    }
    for (const [id, is] of Object.entries(pressed)) byId(id, HTMLButtonElement).setAttribute("aria-pressed", String(is))
  }
}
