/** The head of the page: what was traced, and the figures in words. */

import { headlineOf, summaryOf } from "../../layout/text/summary.js"
import { byId, make } from "../dom.js"
import type { Model } from "../model.js"

export function fillHeader({ data, figures }: Model): void {
  const { date, machine } = data
  const where = `${new Date(date).toLocaleString()} · Node.js ${machine.node.replace(/^v/, "")} on ${machine.platform} · ${machine.cores} × ${machine.cpu}`
  byId("what", HTMLElement).textContent = headlineOf(data)
  byId("where", HTMLElement).textContent = where
  const list = byId("figures", HTMLUListElement)
  for (const { value, text, detail, tone } of summaryOf(data, figures)) {
    const item = make("li", tone ?? "", make("strong", "", value), " ", make("span", "", text))
    if (detail !== undefined) item.append(" ", make("small", "", detail))
    list.append(item)
  }
}
