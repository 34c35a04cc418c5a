/**
 * Draws a trace, or a part of it, as an SVG picture for a page of text: lanes, fork-joins, waits and an axis. It needs no script and
 * follows the reader's choice of light or dark.
 */

import type { TraceData } from "../data/data.js"
import { DARK, LIGHT, type Palette } from "../layout/colors.js"
import { type Placement, type Sizes, place } from "../layout/geometry.js"
import { type LaneGroup, lanesOf } from "../layout/lanes.js"
import { firstAbove, firstAtOrAbove } from "../layout/rows.js"
import { ticksOf } from "../layout/ticks.js"
import { formatNumberOf, formatTime } from "../layout/text/times.js"
import type { View } from "../layout/view.js"
import { checkSvgOptions, type SvgOptions } from "./svg-options.js"
import { type Picture, drawArrows, drawBoxes, drawBrackets, drawLegend, element, label } from "./svg-parts.js"

const SIZES: Sizes = { groupHeader: 24, row: 20, bracket: 22, padding: 4, labelAbove: 0 }
const LABELS = 118
const AXIS = 22
const MARGIN = 10
const TITLE = 30

/** The picture: the contents of a `.svg` file. */
export function toSvg(data: TraceData, options: SvgOptions = {}): string {
  checkSvgOptions(options)
  const { width = 800, title, devices, calls = false } = options
  const range = rangeOf(data, options)
  const view: View = { ...range, width: width - LABELS - 2 * MARGIN }
  const groups = lanesOf(data)
    .filter(({ label }) => devices === undefined || devices.includes(label) || (calls && label === "Node.js"))
    .flatMap((group) => partOf(group, view, calls))
  const placement = place(groups, SIZES)
  const top = MARGIN + (title === undefined ? 0 : TITLE)
  const picture: Picture = { data, view, placement, left: MARGIN + LABELS, top }
  const legend = drawLegend(picture, top + placement.height + AXIS + 6, width - MARGIN)
  const height = top + placement.height + AXIS + legend.height + MARGIN
  const head = title === undefined ? "" : label(title, MARGIN + 4, MARGIN + 15, width, "title")
  const body = [
    head,
    drawFrame(picture),
    drawBoxes(picture),
    drawBrackets(picture),
    drawArrows(picture),
    drawLabels(picture),
    legend.drawn,
  ]
  const name = title ?? nameOf(placement, view)
  return `${element(
    "svg",
    {
      ...{ xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}`, width, height, role: "img" },
      "aria-label": name,
    },
    `<style>${STYLE}</style>`,
    element("rect", { class: "page", width, height, rx: 8 }),
    ...body,
  )}\n`
}

/** The part of the time that is shown, with a margin if it is the whole. */
function rangeOf({ spans }: TraceData, { from, to }: SvgOptions): { from: number; to: number } {
  const first = spans.reduce((least, { start }) => Math.min(least, start), spans.length === 0 ? 0 : Infinity)
  const last = spans.reduce((most, { end }) => Math.max(most, end), first + 1)
  const margin = (last - first) / 100
  return { from: from ?? first - margin, to: to ?? last + margin }
}

/** The lanes of a group that have something in view, with their numbered rows. */
function partOf(group: LaneGroup, view: View, calls: boolean): LaneGroup[] {
  const lanes = group.lanes.flatMap((lane) => {
    if (lane.kind === "call" && !calls) return []
    const isBusy = lane.rows.map((row) => firstAbove(row.ends, view.from) < firstAtOrAbove(row.starts, view.to))
    const rows = lane.rows.slice(0, isBusy.lastIndexOf(true) + 1)
    return rows.length > 0 ? [{ ...lane, rows }] : []
  })
  return lanes.length > 0 ? [{ ...group, lanes }] : []
}

function nameOf({ groups, lanes }: Placement, view: View): string {
  const devices = groups.map(({ group }) => group.label).join(", ")
  const count = formatNumberOf(lanes.filter(({ lane }) => lane.stream !== undefined).length, "stream")
  return `Timeline of ${formatTime(view.to - view.from)}: ${count} of ${devices}`
}

/** The lines of time, the axis below, and the lines between lanes. */
function drawFrame({ view, placement, left, top }: Picture): string {
  const bottom = top + placement.height
  const ticks = ticksOf(view, 110).flatMap(({ x, label: text }) => [
    element("path", { class: "line", d: `M${round(left + x)} ${top}V${bottom + 5}` }),
    label(text, left + x, bottom + 17, 100, "axis"),
  ])
  const lanes = placement.lanes.map(({ y }) =>
    element("path", { class: "line", d: `M${MARGIN} ${top + y}H${left + view.width}` }),
  )
  const bands = placement.groups.map(({ y }) =>
    element("rect", {
      class: "band",
      x: MARGIN,
      y: top + y,
      width: left + view.width - MARGIN,
      height: SIZES.groupHeader,
    }),
  )
  return [...ticks, ...lanes, ...bands].join("\n")
}

function drawLabels({ placement, top }: Picture): string {
  const groups = placement.groups.map(({ group, y }) => {
    const id = label(group.label, MARGIN + 8, top + y + 16, 200, "group")
    return id + label(group.detail, MARGIN + 24 + 8 * group.label.length, top + y + 16, 600, "muted")
  })
  const lanes = placement.lanes.map(({ lane, rowsY, rowHeight }) => {
    const text = lane.isBranch ? `↳ ${lane.label}` : lane.label
    return label(
      text,
      MARGIN + (lane.isBranch ? 14 : 8),
      top + rowsY + rowHeight / 2 + 3,
      LABELS - 16,
      lane.isBranch ? "muted" : "text",
    )
  })
  return [...groups, ...lanes].join("\n")
}

const round = (value: number) => Math.round(value) + 0.5

const STYLE = `text{font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.title{font-size:14px;font-weight:600}.group{font-weight:600}.axis{font-size:11px;text-anchor:middle}
.line,.bracket,.wait{fill:none}.wait{stroke-width:1.25;opacity:.75}.bracket{stroke-width:1.5}.skipped{stroke-dasharray:4 3}
${rulesOf(LIGHT)}
@media (prefers-color-scheme:dark){${rulesOf(DARK)}}`

/** The colours as rules of a style sheet. */
function rulesOf(palette: Palette): string {
  const fills = {
    page: palette.background,
    band: palette.raised,
    title: palette.text,
    group: palette.text,
    text: palette.text,
    muted: palette.muted,
    axis: palette.muted,
    on: palette.onColor,
    memory: palette.memory,
    holder: palette.holder,
    call: palette.call,
    parallel: palette.parallel,
    sequential: palette.sequential,
    head: palette.wait,
  }
  const names = palette.names.map((color, index) => `.n${index}{fill:${color}}`)
  const strokes = [
    `.line{stroke:${palette.line}}.wait{stroke:${palette.wait}}`,
    `.bracket.parallel{stroke:${palette.parallel}}.bracket.sequential{stroke:${palette.sequential}}.bracket{fill:none}`,
  ]
  return [...Object.entries(fills).map(([name, color]) => `.${name}{fill:${color}}`), ...names, ...strokes].join("")
}
