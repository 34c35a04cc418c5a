/** Starts the page. */

import { fit } from "../layout/view.js"
import { Actions } from "./actions.js"
import { Details } from "./panel/details.js"
import { byId } from "./dom.js"
import { fillHeader } from "./panel/header.js"
import { fillHelp, toggleHelp } from "./panel/help.js"
import { Input } from "./input.js"
import { keysOf, listenToKeys } from "./keys.js"
import { type Embedded, Model } from "./model.js"
import { preparePrint } from "./print.js"
import { Store } from "./state.js"
import { fillTables } from "./panel/table.js"
import { followTheme } from "./theme.js"
import { Timeline } from "./timeline.js"
import { Toolbar } from "./panel/toolbar.js"
import { Tooltip } from "./panel/tooltip.js"

function start(): void {
  const model = new Model(JSON.parse(byId("trace", HTMLScriptElement).text) as Embedded)
  const canvas = byId("timeline", HTMLCanvasElement)
  const store = new Store({
    view: fit(model.limits, 1),
    scroll: 0,
    selection: undefined,
    hover: undefined,
    search: undefined,
    showsWaits: true,
    showsSkippedWaits: true,
    showsPath: false,
    isDark: matchMedia("(prefers-color-scheme: dark)").matches,
    shows: "timeline",
  })
  const timeline = new Timeline(canvas, model, store)
  const actions = new Actions(model, store, timeline)
  const toolbar = new Toolbar(store, actions, toggleHelp)
  const keys = keysOf({ focusSearch: () => toolbar.focusSearch(), toggleHelp })
  fillHeader(model)
  fillHelp(keys)
  followTheme(store)
  listenToKeys(keys, actions, canvas)
  void [
    new Input(model, store, timeline, actions),
    new Details(model, store, actions),
    new Tooltip(model, store, canvas),
  ]
  const fill = showPanels(model, store, actions)
  preparePrint(store, timeline, fill)
  canvas.style.setProperty("--full-height", `${timeline.fullHeight + 1}px`)
  new ResizeObserver(() => {
    if (!matchMedia("print").matches) timeline.resize()
  }).observe(canvas)
}

/** Shows the timeline or the tables. Returns what fills the tables, which is done once, when they are needed. */
function showPanels(model: Model, store: Store, actions: Actions): () => void {
  let isFilled = false
  const fill = () => {
    if (!isFilled) fillTables(model, actions)
    isFilled = true
  }
  const show = ({ shows }: { readonly shows: "timeline" | "table" }) => {
    if (shows === "table") fill()
    document.body.dataset["shows"] = shows
  }
  store.listen(show)
  show(store.state)
  return fill
}

start()
