/** Paper has light colours, all lanes and the tables, whatever the screen shows. */

import type { Store } from "./state.js"
import type { Timeline } from "./timeline.js"

/** @param fillTables - Called before the page is printed. */
export function preparePrint(store: Store, timeline: Timeline, fillTables: () => void): void {
  let wasDark = false
  addEventListener("beforeprint", () => {
    fillTables()
    wasDark = store.state.isDark
    store.set({ isDark: false, scroll: 0 })
    timeline.resize(timeline.fullHeight)
  })
  addEventListener("afterprint", () => {
    store.set({ isDark: wasDark })
    timeline.resize()
  })
}
