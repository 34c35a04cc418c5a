/** The help: keys and gestures. */

import { byId, make } from "../dom.js"
import type { Key } from "../keys.js"

const GESTURES: readonly (readonly [string, string])[] = [
  ["wheel, pinch", "zoom"],
  ["drag, Shift wheel", "move"],
  ["click", "select"],
  ["double click", "show it in the middle"],
]

/** Fills the help. */
export function fillHelp(keys: readonly Key[]): void {
  const list = byId("key-list", HTMLElement)
  for (const { shown, does } of keys) list.append(lineOf(shown.split(" "), does))
  for (const [gesture, does] of GESTURES) list.append(make("div", "", make("dt", "", gesture), make("dd", "", does)))
}

export function toggleHelp(): void {
  const dialog = byId("help", HTMLDialogElement)
  if (dialog.open) dialog.close()
  else dialog.showModal()
}

function lineOf(keys: readonly string[], does: string): HTMLElement {
  return make("div", "", make("dt", "", ...keys.map((key) => make("kbd", "", key))), make("dd", "", does))
}
