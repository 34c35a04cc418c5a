/** The report as a short text for a terminal. */
import type { TraceData } from "./data/data.js"
import type { DeviceFigures, RegionFigures, TraceFigures } from "./data/figures.js"
import { groupBy } from "./analysis/leaves.js"

/** So many rows of a table are shown; the others are summed up. */
const MOST_ROWS = 12

export function textOf(data: TraceData, figures: TraceFigures): string {
  const lines = [
    headline(data, figures),
    ...figures.devices.map((device) => deviceLine(data, device)),
    ...regionTable(data, figures.regions),
    pathLine(data, figures.criticalPath),
    costLine(data),
  ]
  return lines.filter((line) => line !== "").join("\n")
}

/** The headline of a report. */
function headline({ duration, spans, streams, devices }: TraceData, { total }: TraceFigures): string {
  const overlap = total.overlap === undefined ? "nothing could overlap" : `overlap ${percent(total.overlap)}`
  const operations = spans.filter(({ kind }) => kind !== "node").length
  const where = `${counted(streams.length, "stream")} of ${counted(devices.length, "device")}`
  return `Trace of ${time(duration)}: ${counted(operations, "operation")} on ${where}; ${overlap}`
}

function deviceLine({ devices }: TraceData, { device, union, busy, idle, overlap }: DeviceFigures): string {
  const traced = devices[device]
  if (traced === undefined) return ""
  const lost = traced.lost === 0 ? "" : `; the times of ${counted(traced.lost, "operation")} were lost`
  const pauses = idle.host + idle.gaps + idle.waits + idle.unexplained
  const split = Object.entries(idle)
    .filter(([, share]) => share > 0)
    .map(([why, share]) => `${why} ${time(share)}`)
  const idleText = pauses === 0 ? "never idle" : `idle for ${time(pauses)} (${split.join(", ")})`
  const side = overlap === undefined ? "" : `, ${time(busy - union)} of it side by side (overlap ${percent(overlap)})`
  return `${traced.id} (times from ${traced.times}): busy for ${time(union)}${side}, ${idleText}${lost}`
}

/** One row for all calls with the same name, mode and reason. */
function regionTable({ regions }: TraceData, figures: readonly RegionFigures[]): string[] {
  const groups = groupBy(figures, ({ region }) => {
    const { name = "", mode = "", reason = "", graph } = regions[region] ?? {}
    return `${name}${graph === undefined ? "" : ", in graphs"}\n${mode}${reason === mode ? "" : ` (${reason})`}`
  })
  if (groups.size === 0) return []
  const rows = [...groups].map(([key, calls]) => [...key.split("\n"), ...regionRow(calls)])
  const shown = rows.slice(0, MOST_ROWS)
  const rest = rows.length > shown.length ? [`and ${rows.length - shown.length} more`] : []
  return [...table([["fork-join", "mode", "calls", "overlap", "gained", "lost", "why"], ...shown]), ...rest]
}

function regionRow(calls: readonly RegionFigures[]): string[] {
  const sum = (value: (one: RegionFigures) => number) => calls.reduce((total, one) => total + value(one), 0)
  const could = sum(({ busy, longest }) => busy - longest)
  const gained = sum((one) => one.gained)
  const causes = groupBy(
    calls.flatMap(({ lost }) => lost),
    ({ why }) => why,
  )
  const why = [...causes]
    .map(([name, parts]) => ({ name, total: parts.reduce((total, part) => total + part.time, 0) }))
    .toSorted((a, b) => b.total - a.total)
  const lost = why.filter(({ name }) => name !== "unequal branches").reduce((total, part) => total + part.total, 0)
  return [
    String(calls.length),
    could === 0 ? "" : percent(gained / could),
    time(gained),
    time(lost),
    why.map(({ name, total }) => `${name} ${time(total)}`).join(", "),
  ]
}

function pathLine({ spans }: TraceData, path: readonly number[]): string {
  if (path.length === 0) return ""
  const names = groupBy(path, (index) => spans[index]?.name ?? "")
  const lengthOf = (indices: readonly number[]) =>
    indices.reduce((sum, index) => sum + (spans[index]?.end ?? 0) - (spans[index]?.start ?? 0), 0)
  const sorted = [...names]
    .map(([name, indices]) => ({ name, count: indices.length, total: lengthOf(indices) }))
    .toSorted((a, b) => b.total - a.total)
  const parts = sorted.slice(0, 4).map(({ name, count, total }) => `${count} × "${name}" ${time(total)}`)
  const others = sorted.length > 4 ? ", …" : ""
  return `critical path: ${counted(path.length, "operation")}, ${time(lengthOf(path))}: ${parts.join(", ")}${others}`
}

function costLine({ cost, devices }: TraceData): string {
  const each = cost.operations === 0 ? "" : `, ${time(cost.total / cost.operations)} an operation`
  const lost = devices.reduce((sum, device) => sum + device.lost, 0)
  return `tracing took ${time(cost.total)} of the host's time${each}; ${counted(lost, "record")} lost`
}

/** Columns with two spaces between them. Numbers of calls and times are aligned to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length))) ?? []
  const pad = (cell: string, column: number) => {
    const width = widths[column] ?? 0
    return column > 1 && column < 6 ? cell.padStart(width) : cell.padEnd(width)
  }
  return rows.map((row) => row.map(pad).join("  ").trimEnd())
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`
}

/** A duration with three digits, such as `1.23 ms`. */
export function time(nanoseconds: number): string {
  const units = ["ns", "µs", "ms", "s"]
  let value = nanoseconds
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  const digits = value >= 99.5 || unit === 0 ? 0 : value >= 9.95 ? 1 : 2
  return `${value.toFixed(digits)} ${units[unit]}`
}
