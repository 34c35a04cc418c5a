/** The keys, as one table: what the page listens to, and what its help shows. */

import type { Actions } from "./actions.js"

export interface Key {
  /** As `KeyboardEvent.key` says it. */
  readonly keys: readonly string[]
  /** How the help writes them. */
  readonly shown: string
  readonly does: string
  readonly run: (actions: Actions) => void
}

export interface Panels {
  readonly focusSearch: () => void
  readonly toggleHelp: () => void
}

const PAN = 120
const ZOOM = 1.4

export function keysOf({ focusSearch, toggleHelp }: Panels): Key[] {
  return [
    { keys: ["ArrowLeft", "a"], shown: "← a", does: "move left", run: (actions) => actions.panBy(-PAN) },
    { keys: ["ArrowRight", "d"], shown: "→ d", does: "move right", run: (actions) => actions.panBy(PAN) },
    { keys: ["+", "=", "w"], shown: "+ w", does: "zoom in", run: (actions) => actions.zoomBy(ZOOM) },
    { keys: ["-", "_", "s"], shown: "− s", does: "zoom out", run: (actions) => actions.zoomBy(1 / ZOOM) },
    { keys: ["0", "Home"], shown: "0", does: "show everything", run: (actions) => actions.fitAll() },
    { keys: ["f", "Enter"], shown: "f Enter", does: "show the selection", run: (actions) => actions.fitSelection() },
    { keys: ["."], shown: ".", does: "select the next operation of the lane", run: (actions) => actions.step(1) },
    { keys: [","], shown: ",", does: "select the one before", run: (actions) => actions.step(-1) },
    { keys: ["ArrowDown"], shown: "↓", does: "select in the lane below", run: (actions) => actions.stepLane(1) },
    { keys: ["ArrowUp"], shown: "↑", does: "select in the lane above", run: (actions) => actions.stepLane(-1) },
    { keys: ["PageDown"], shown: "Page Down", does: "scroll the lanes down", run: (actions) => actions.scrollBy(200) },
    { keys: ["PageUp"], shown: "Page Up", does: "scroll the lanes up", run: (actions) => actions.scrollBy(-200) },
    { keys: ["/"], shown: "/", does: "search", run: focusSearch },
    { keys: ["n"], shown: "n", does: "next hit", run: (actions) => actions.nextHit(1) },
    { keys: ["N", "p"], shown: "Shift n", does: "previous hit", run: (actions) => actions.nextHit(-1) },
    { keys: ["Escape"], shown: "Esc", does: "end the search, clear the selection", run: (actions) => actions.escape() },
    { keys: ["x"], shown: "x", does: "show or hide waits", run: (actions) => actions.toggle("showsWaits") },
    {
      keys: ["X"],
      shown: "Shift x",
      does: "show or hide skipped waits",
      run: (actions) => actions.toggle("showsSkippedWaits"),
    },
    { keys: ["c"], shown: "c", does: "critical path", run: (actions) => actions.toggle("showsPath") },
    { keys: ["t"], shown: "t", does: "timeline or table of fork-joins", run: (actions) => actions.toggleTable() },
    { keys: ["l"], shown: "l", does: "light or dark", run: (actions) => actions.toggle("isDark") },
    { keys: ["?"], shown: "?", does: "this help", run: toggleHelp },
  ]
}

/** Runs keys wherever they are pressed, except in fields. Enter and the arrows act on the timeline only. */
export function listenToKeys(keys: readonly Key[], actions: Actions, canvas: HTMLElement): void {
  document.addEventListener("keydown", (event) => {
    const { target, key, ctrlKey, metaKey, altKey } = event
    if (ctrlKey || metaKey || altKey || target instanceof HTMLInputElement || document.querySelector("dialog[open]"))
      return
    if (target !== canvas && target !== document.body && !/^[a-z/?.,+\-0]$/i.test(key)) return
    const found = keys.find((candidate) => candidate.keys.includes(key))
    if (found === undefined) return
    event.preventDefault()
    found.run(actions)
  })
}
