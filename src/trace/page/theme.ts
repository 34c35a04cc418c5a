/** Light and dark: gives the colours of the timeline to the style sheet. */

import { DARK, LIGHT } from "../layout/colors.js"
import type { Store } from "./state.js"

/** The theme follows the system until the reader chooses one. */
export function followTheme(store: Store): void {
  const system = matchMedia("(prefers-color-scheme: dark)")
  system.addEventListener("change", () => store.set({ isDark: system.matches }))
  store.listen(({ isDark }, before) => {
    if (isDark !== before.isDark) apply(isDark)
  })
  apply(store.state.isDark)
}

function apply(isDark: boolean): void {
  const { names: _, ...colors } = isDark ? DARK : LIGHT
  const { style } = document.documentElement
  style.colorScheme = isDark ? "dark" : "light"
  for (const [name, color] of Object.entries(colors)) style.setProperty(`--${name}`, color)
}
