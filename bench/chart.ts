/**
 * Draws speed-ups as SVG pictures for pages of text: lines over an axis, or dots in rows. A picture needs no script, follows the
 * reader's choice of light or dark, and never tells series apart by colour alone.
 */

/** A measured point; `low` and `high` are the ends of its bar. */
export interface Point {
  readonly x: number
  readonly y: number
  readonly low?: number
  readonly high?: number
}

export interface Series {
  readonly name: string
  readonly points: readonly Point[]
  /** Something to compare with, such as the ideal: a dashed line without marks. */
  readonly isGuide?: boolean
}

/** A picture, and its contents in words for readers that cannot see it. */
export interface Drawn {
  readonly svg: string
  readonly alternative: string
}

/** What both kinds of picture have. */
interface Picture {
  readonly title: string
  /** The range of the speed-ups, and the distance of their ticks. */
  readonly speedUps: { readonly from: number; readonly to: number; readonly step: number }
}

export interface Lines extends Picture {
  /** Below the horizontal axis, which is logarithmic. */
  readonly label: string
  /** `isNamed` is false where there is no room for the text. */
  readonly ticks: readonly { readonly at: number; readonly text: string; readonly isNamed?: boolean }[]
  readonly series: readonly Series[]
}

export interface Dots extends Picture {
  readonly rows: readonly string[]
  /** Each point's `y` is the speed-up, its `x` the index of the row. */
  readonly series: readonly Series[]
}

const WIDTH = 720
const LEFT = 54
const RIGHT = 18
const TOP = 62
const PLOT = 232
const ROW = 34
const ROW_LABELS = 300

/** Speed-ups over lengths or sizes. */
export function drawLines({ title, label, ticks, series, speedUps }: Lines): Drawn {
  const logs = ticks.map(({ at }) => Math.log(at))
  const [first, last] = [Math.min(...logs), Math.max(...logs)]
  const plot = { left: LEFT, right: WIDTH - RIGHT, top: TOP, bottom: TOP + PLOT }
  const x = (value: number) => scale(Math.log(value), first, last, plot.left + 18, plot.right - 18)
  const y = (value: number) => scale(value, speedUps.from, speedUps.to, plot.bottom, plot.top)
  const axis = [
    ...stepsOf(speedUps).flatMap((value) => [
      path(`M${plot.left} ${half(y(value))}H${plot.right}`, value === 1 ? "even" : "line"),
      text(`${value} ×`, plot.left - 6, y(value) + 4, "axis end"),
    ]),
    ...ticks.flatMap(({ at, text: name, isNamed = true }) =>
      isNamed ? [text(name, x(at), plot.bottom + 18, "axis middle")] : [],
    ),
    text(label, (plot.left + plot.right) / 2, plot.bottom + 38, "axis middle"),
  ]
  const slower = `<rect class="slower" x="${plot.left}" y="${half(y(1))}" width="${plot.right - plot.left}" height="${round(plot.bottom - y(1))}"/>`
  const drawn = series.map(({ points, isGuide = false }, index) => {
    const along = points.map((point, place) => `${place === 0 ? "M" : "L"}${round(x(point.x))} ${round(y(point.y))}`)
    const line = path(along.join(""), isGuide ? "guide" : `s s${index}`)
    if (isGuide) return line
    const bars = points.map(({ x: at, low, high }) =>
      low === undefined || high === undefined
        ? ""
        : path(`M${round(x(at))} ${round(y(low))}V${round(y(high))}`, `bar s${index}`),
    )
    return [...bars, line, ...points.map((point) => mark(index, x(point.x), y(point.y)))].join("\n")
  })
  const body = [slower, ...axis, ...drawn, text("slower side by side", plot.right - 8, plot.bottom - 8, "muted end")]
  const nameOf = ({ x: value }: Point) => ticks.find(({ at }) => at === value)?.text ?? String(value)
  return picture(title, plot.bottom + 50, series, nameOf, body)
}

/** Speed-ups of a few things, a row for each. */
export function drawDots({ title, rows, series, speedUps }: Dots): Drawn {
  const plot = { left: ROW_LABELS, right: WIDTH - RIGHT - 12, top: TOP, bottom: TOP + ROW * rows.length }
  const x = (value: number) => scale(value, speedUps.from, speedUps.to, plot.left, plot.right)
  const y = (row: number) => plot.top + ROW * (row + 0.5)
  const slower = `<rect class="slower" x="${plot.left}" y="${plot.top}" width="${round(x(1) - plot.left)}" height="${plot.bottom - plot.top}"/>`
  const axis = [
    ...stepsOf(speedUps).flatMap((value) => [
      path(`M${half(x(value))} ${plot.top}V${plot.bottom}`, value === 1 ? "even" : "line"),
      text(`${value} ×`, x(value), plot.bottom + 18, "axis middle"),
    ]),
    ...rows.flatMap((name, row) => [
      path(`M14 ${half(y(row) + ROW / 2)}H${plot.right}`, "line"),
      text(name, 14, y(row) + 4, "text"),
    ]),
  ]
  const marks = series.flatMap(({ points }, index) => {
    // Marks of one row must not hide each other.
    const offset = 4 * (index - (series.length - 1) / 2)
    return points.map((point) => mark(index, x(point.y), y(point.x) + offset))
  })
  const body = [slower, ...axis, ...marks, text("slower side by side", plot.left + 6, plot.bottom + 36, "muted")]
  return picture(title, plot.bottom + 46, series, ({ x: row }) => rows[row] ?? "", body)
}

function picture(
  title: string,
  height: number,
  series: readonly Series[],
  nameOf: (point: Point) => string,
  body: readonly string[],
): Drawn {
  const alternative = `${title}. ${series.flatMap((one) => inWords(one, nameOf)).join(" ")}`
  let at = 22
  const legend = series.flatMap(({ name, isGuide = false }, index) => {
    const key = isGuide ? path(`M${at - 6} 44H${at + 10}`, "guide") : mark(index, at, 44)
    const drawn = [key, text(name, at + (isGuide ? 16 : 10), 48, "text")]
    at += 40 + 6.4 * name.length
    return drawn
  })
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(alternative)}">`,
    `<style>${STYLE}</style>`,
    `<rect class="page" width="${WIDTH}" height="${height}" rx="8"/>`,
    text(title, 14, 25, "title"),
    ...legend,
    ...body,
    "</svg>",
  ]
  return { svg: `${lines.join("\n")}\n`, alternative }
}

/** Each measured value of a series. */
function inWords({ name, points, isGuide = false }: Series, nameOf: (point: Point) => string): string[] {
  if (isGuide || points.length === 0) return []
  return [`${name}: ${points.map((point) => `${point.y.toFixed(2)} × (${nameOf(point)})`).join(", ")}.`]
}

/** Circle, square, triangle, diamond: one shape for each series. */
function mark(series: number, x: number, y: number): string {
  const [cx, cy] = [round(x), round(y)]
  const shapes = [
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z",
    "M-4 -4H4V4H-4Z",
    "M0 -5L5 4H-5Z",
    "M0 -5.5L5.5 0L0 5.5L-5.5 0Z",
  ]
  return `<path class="mark m${series}" transform="translate(${cx} ${cy})" d="${shapes[series % shapes.length]}"/>`
}

const path = (d: string, name: string) => `<path class="${name}" d="${d}"/>`
const text = (words: string, x: number, y: number, name: string) =>
  `<text class="${name}" x="${round(x)}" y="${round(y)}">${escaped(words)}</text>`
const escaped = (words: string) => words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;")
const round = (value: number) => Math.round(value * 10) / 10
/** The middle of a pixel, so that a line of one pixel is sharp. */
const half = (value: number) => Math.round(value) + 0.5

function scale(value: number, from: number, to: number, start: number, end: number): number {
  return start + ((value - from) / (to - from)) * (end - start)
}

function stepsOf({ from, to, step }: Picture["speedUps"]): number[] {
  const count = Math.round((to - from) / step)
  return Array.from({ length: count + 1 }, (_, index) => Number((from + index * step).toFixed(3)))
}

interface Palette {
  readonly page: string
  readonly text: string
  readonly muted: string
  readonly line: string
  readonly slower: string
  readonly series: readonly string[]
}

const LIGHT: Palette = {
  page: "#ffffff",
  text: "#1b1f27",
  muted: "#5d6675",
  line: "#dfe3e8",
  slower: "#fdf1e7",
  series: ["#1f6fd0", "#19754c", "#a8530b", "#8a3fb0"],
}
const DARK: Palette = {
  page: "#12151b",
  text: "#e7eaf0",
  muted: "#9aa4b5",
  line: "#2e3440",
  slower: "#2a2119",
  series: ["#76b0eb", "#5fcb98", "#f0a45d", "#c99be6"],
}

const rulesOf = ({ page, text, muted, line, slower, series }: Palette) =>
  [
    `.page{fill:${page}}.title,.text{fill:${text}}.axis,.muted{fill:${muted}}.slower{fill:${slower}}`,
    `.line{stroke:${line}}.even{stroke:${muted}}.guide{stroke:${muted}}.mark{stroke:${page}}`,
    ...series.map((colour, index) => `.s${index}{stroke:${colour}}.m${index}{fill:${colour}}`),
  ].join("")

const STYLE = `text{font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.title{font-size:14px;font-weight:600}.axis{font-size:11px}.middle{text-anchor:middle}.end{text-anchor:end}
.line,.even,.guide,.s,.bar{fill:none}.even{stroke-width:1.5}.guide{stroke-width:1.25;stroke-dasharray:5 4}.s{stroke-width:2}.bar{stroke-width:1;opacity:.6}.mark{stroke-width:1}
${rulesOf(LIGHT)}
@media (prefers-color-scheme:dark){${rulesOf(DARK)}}`
