/** The fork-joins as tables: all that are alike in one line, then those that lost most. Filled when it is first shown. */

import type { TraceRegion } from "../../data/data.js"
import type { RegionFigures } from "../../data/figures.js"
import { modeOf } from "../../layout/text/describe.js"
import { formatCount, formatShare, formatTime } from "../../layout/text/times.js"
import type { Actions } from "../actions.js"
import { byId, make, makeButton } from "../dom.js"
import type { Model } from "../model.js"

/** The second table has no more lines. */
const MOST = 200

const lengthOf = (region: TraceRegion) => (region.ran === undefined ? 0 : region.ran.end - region.ran.start)
const titleOf = ({ name, graph }: TraceRegion) => (graph === undefined ? name : `${name}, in graphs`)
const lossOf = (figures: RegionFigures | undefined) => figures?.lost.reduce((sum, { time }) => sum + time, 0) ?? 0

export function fillTables(model: Model, actions: Actions): void {
  const { regions } = model.data
  const panel = byId("tables", HTMLElement)
  if (regions.length === 0) {
    panel.replaceChildren(make("p", "hint", "The program called no fork-join while the trace ran."))
    return
  }
  const figures = new Map(model.figures?.regions.map((one) => [one.region, one]))
  panel.replaceChildren(
    make("h2", "", "Fork-joins by kind"),
    tableOfKinds(model, figures),
    make("h2", "", figures.size > 0 ? "Those that lost most" : "The longest"),
    tableOfRegions(model, figures, actions),
  )
}

function tableOfKinds({ data }: Model, figures: ReadonlyMap<number, RegionFigures>): HTMLElement {
  const kinds = new Map<string, number[]>()
  data.regions.forEach((region, index) => {
    const key = [titleOf(region), region.device, region.mode, region.reason].join("\n")
    kinds.set(key, [...(kinds.get(key) ?? []), index])
  })
  const rows = [...kinds.values()].map((indices) => {
    const [first = 0] = indices
    const region = data.regions[first]
    if (region === undefined) return []
    const lengths = indices.map((index) => lengthOf(data.regions[index] ?? region)).sort((a, b) => a - b)
    const all = indices.map((index) => figures.get(index))
    const gained = all.reduce((sum, one) => sum + (one?.gained ?? 0), 0)
    const lost = all.reduce((sum, one) => sum + lossOf(one), 0)
    return [
      titleOf(region),
      data.devices[region.device]?.id ?? "",
      modeOf(region),
      formatCount(indices.length),
      formatTime(lengths[lengths.length >> 1] ?? 0),
      ...(figures.size > 0 ? [formatTime(gained), formatTime(lost)] : []),
    ]
  })
  const heads = ["fork-join", "device", "ran", "calls", "median time", ...(figures.size > 0 ? ["gained", "lost"] : [])]
  return tableOf("Fork-joins by kind", heads, rows)
}

function tableOfRegions({ data }: Model, figures: ReadonlyMap<number, RegionFigures>, actions: Actions): HTMLElement {
  const order = [...data.regions.keys()].sort((a, b) => {
    const [first, second] = [data.regions[a], data.regions[b]]
    if (first === undefined || second === undefined) return 0
    return lossOf(figures.get(b)) - lossOf(figures.get(a)) || lengthOf(second) - lengthOf(first)
  })
  const rows = order.slice(0, MOST).map((index) => {
    const region = data.regions[index]
    if (region === undefined) return []
    const own = figures.get(index)
    const why = own?.lost.map(({ why, time }) => `${why} ${formatTime(time)}`).join(", ") ?? ""
    const share = own?.overlap === undefined ? "–" : formatShare(own.overlap)
    const gains = own === undefined ? [] : [share, formatTime(own.gained), formatTime(lossOf(own)), why]
    const name = makeButton(titleOf(region), "link", () => actions.goTo({ kind: "region", index }))
    return [name, data.devices[region.device]?.id ?? "", modeOf(region), formatTime(lengthOf(region)), ...gains]
  })
  const heads = [
    "fork-join",
    "device",
    "ran",
    "time",
    ...(figures.size > 0 ? ["overlap", "gained", "lost", "why"] : []),
  ]
  const table = tableOf("Single fork-joins", heads, rows)
  if (order.length <= MOST) return table
  return make("div", "", table, make("p", "hint", `${formatCount(order.length - MOST)} more are not listed.`))
}

function tableOf(
  caption: string,
  heads: readonly string[],
  rows: readonly (readonly (Node | string)[])[],
): HTMLElement {
  const head = make("tr", "")
  for (const text of heads) {
    const cell = make("th", "", text)
    cell.scope = "col"
    head.append(cell)
  }
  const body = make("tbody", "")
  const isNumber = (cell: Node | string) => typeof cell === "string" && /^[\d–]/.test(cell)
  for (const row of rows)
    body.append(make("tr", "", ...row.map((cell) => make("td", isNumber(cell) ? "number" : "", cell))))
  return make("div", "scroll", make("table", "", make("caption", "", caption), make("thead", "", head), body))
}
