/** The parts of a picture: operations as boxes, fork-joins as brackets, waits as arrows. */

import type { TraceData } from "../data/data.js"
import { WaitIndex, endsOfArrow } from "../layout/arrows.js"
import { LIGHT, colorOf } from "../layout/colors.js"
import { intervalOf, labelsOfRegion } from "../layout/text/describe.js"
import type { PlacedLane, Placement } from "../layout/geometry.js"
import { type Row, forEachBoxes, longestOf } from "../layout/rows.js"
import { formatTime } from "../layout/text/times.js"
import { type View, xAt } from "../layout/view.js"

export interface Picture {
  readonly data: TraceData
  readonly view: View
  readonly placement: Placement
  /** Where the time begins. */
  readonly left: number
  readonly top: number
}

/** The width of a letter, on average, in pixels; there is no browser to measure it. */
const LETTER = 6.8

/** An element with attributes and contents. Contents must be escaped. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  ...contents: readonly string[]
): string {
  const given = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${escape(typeof value === "number" ? shorten(value) : value)}"`,
  )
  const inside = contents.filter((content) => content !== "").join("\n")
  return inside === "" ? `<${name}${given.join("")}/>` : `<${name}${given.join("")}>${inside}</${name}>`
}

/** Text, cut if it is wider than `most`; nothing where not even three letters fit. */
export function label(text: string, x: number, y: number, most: number, className: string): string {
  const letters = Math.floor(most / LETTER)
  const shown = text.length <= letters ? text : letters < 5 ? "" : `${text.slice(0, letters - 1)}…`
  return shown === "" ? "" : element("text", { class: className, x, y }, escape(shown))
}

export function drawBoxes(picture: Picture): string {
  return drawRows(picture, (lane) => lane.lane.kind !== "region", drawBox)
}

export function drawBrackets(picture: Picture): string {
  return drawRows(picture, (lane) => lane.lane.kind === "region", drawBracket)
}

/** Something drawn over some boxes of a row. */
interface Drawn {
  readonly lane: PlacedLane
  readonly id: number
  readonly count: number
  readonly x: number
  readonly width: number
  readonly y: number
}

function drawRows(
  picture: Picture,
  isDrawn: (lane: PlacedLane) => boolean,
  draw: (picture: Picture, drawn: Drawn) => string,
): string {
  const { placement, view, left, top } = picture
  const parts: string[] = []
  const drawRow = (lane: PlacedLane, row: Row, y: number) => {
    forEachBoxes(row, view, (first, next) => {
      const x = Math.max(xAt(view, row.starts[first] ?? 0), 0)
      const end = Math.min(xAt(view, row.ends[next - 1] ?? 0), view.width)
      const id = row.ids[longestOf(row, first, next)] ?? 0
      parts.push(draw(picture, { lane, id, count: next - first, x: left + x, width: Math.max(end - x, 0.8), y }))
    })
  }
  for (const lane of placement.lanes.filter(isDrawn)) {
    lane.lane.rows.forEach((row, index) => drawRow(lane, row, top + lane.rowsY + index * lane.rowHeight))
  }
  return parts.join("\n")
}

function drawBox({ data }: Picture, { lane, id, count, x, width, y }: Drawn): string {
  const kind = lane.lane.kind
  const span = kind === "span" ? data.spans[id] : undefined
  const name = span?.name ?? data.calls[id]?.name ?? ""
  const { start, end } = intervalOf(data, { kind, index: id })
  const more = count > 1 ? ` and ${count - 1} more` : ""
  const title = `<title>${escape(`${name}, ${formatTime(end - start)}${more}`)}</title>`
  const height = lane.rowHeight - 2
  const shown = width > 4 ? width - 0.75 : width
  const box = element("rect", { class: classOf(span), x, y, width: shown, height }, title)
  return box + (count > 1 ? "" : label(name, x + 4, y + height / 2 + 4, width - 8, "on"))
}

/** The class of an operation's colour; operations of one name have one colour, as on the page. */
function classOf(span: TraceData["spans"][number] | undefined): string {
  if (span === undefined) return "call"
  const color = colorOf(LIGHT, span.kind, span.name)
  if (color === LIGHT.memory) return "memory"
  return color === LIGHT.holder ? "holder" : `n${LIGHT.names.indexOf(color)}`
}

function drawBracket({ data }: Picture, { lane, id, x, width, y }: Drawn): string {
  const region = data.regions[id]
  if (region === undefined) return ""
  if (width < 5) return element("rect", { class: region.mode, x, y: y + 3, width, height: 3 })
  const bottom = y + lane.rowHeight - 6
  const d = `M${shorten(x + 0.75)} ${bottom}V${y + 3.75}H${shorten(x + width - 0.75)}V${bottom}`
  const text = labelsOfRegion(region).find((one) => one.length * LETTER <= width - 12)
  const bracket = element("path", { class: `bracket ${region.mode}`, d })
  return bracket + (text === undefined ? "" : label(text, x + 6, y + 16, width, region.mode))
}

export function drawArrows({ data, view, placement, left, top }: Picture): string {
  const lanes = new Map(placement.lanes.map((lane) => [lane.lane.stream, lane]))
  const arrows = new WaitIndex(data)
    .in(view, () => true)
    .map(({ from, to, sent }) => {
      const [source, target] = [lanes.get(from.stream), lanes.get(to.stream)]
      const [x, end] = [left + xAt(view, from.time), left + xAt(view, to.time)]
      if (source === undefined || target === undefined || x < left || end > left + view.width) return ""
      const ends = endsOfArrow(source, target)
      const [y, endY, headY] = [top + ends.y, top + ends.endY, top + ends.headY]
      const middle = (y + endY) / 2
      const points = [x, middle, end, middle, end, headY].map(shorten).join(" ")
      const line = element("path", {
        class: sent ? "wait" : "wait skipped",
        d: `M${shorten(x)} ${shorten(y)}C${points}`,
      })
      const head = `M${shorten(end)} ${shorten(endY)}l-3.5 ${shorten(headY - endY)}h7z`
      return (
        line + element("path", { class: "head", d: head }) + element("circle", { class: "head", cx: x, cy: y, r: 2 })
      )
    })
  return arrows.join("")
}

/** The names and colours of the operations in view, those that took longest first, in two lines at most. */
export function drawLegend(
  { data, view, placement, left }: Picture,
  y: number,
  right: number,
): { drawn: string; height: number } {
  const times = new Map<string, number>()
  const classes = new Map<string, string>()
  for (const { lane } of placement.lanes) {
    for (const id of lane.kind === "span" ? lane.rows.flatMap(({ ids }) => [...ids]) : []) {
      const span = data.spans[id]
      const className = classOf(span)
      if (span === undefined || !className.startsWith("n") || span.end <= view.from || span.start >= view.to) continue
      times.set(span.name, (times.get(span.name) ?? 0) + span.end - span.start)
      classes.set(span.name, className)
    }
  }
  const names = [...times.keys()].sort((a, b) => (times.get(b) ?? 0) - (times.get(a) ?? 0))
  const parts: string[] = []
  let [x, line] = [left, 0]
  for (const name of names) {
    const width = 16 + LETTER * Math.min(name.length, 30) + 12
    if (x + width > right && x > left) [x, line] = [left, line + 1]
    if (line > 1) break
    const top = y + 18 * line
    parts.push(element("rect", { class: classes.get(name) ?? "", x, y: top, width: 11, height: 11, rx: 2 }))
    parts.push(label(name, x + 16, top + 10, 30 * LETTER, "muted"))
    x += width
  }
  return { drawn: parts.join(""), height: parts.length === 0 ? 0 : 18 * Math.min(line + 1, 2) + 4 }
}

const shorten = (value: number) => String(Math.round(value * 100) / 100)

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll('"', "&quot;")
    .replaceAll(/[^\t\n\r\P{Cc}]|[\ufffe\uffff]/gu, "\ufffd")
}
