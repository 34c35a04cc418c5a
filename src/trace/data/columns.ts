/**
 * The data of a trace as columns of small numbers: the form in which the page has it, less than a third of the size of the objects as
 * JSON. Times become whole nanoseconds; nothing else is lost.
 */

import type { SpanKind, TraceData, TracedOverlap, TraceSpan, TraceWait } from "./data.js"

/** A column; one number if all are the same. Where a value may be missing, 0 means that, and n + 1 means n. */
type Column = readonly number[] | number

interface Columns {
  readonly length: number
  readonly [name: string]: Column
}

/** A trace as columns. Plain JSON. */
export interface PackedTrace extends Omit<TraceData, "spans" | "waits"> {
  readonly names: readonly string[]
  readonly kinds: readonly SpanKind[]
  readonly overlaps: readonly TracedOverlap[]
  readonly spans: Columns
  readonly waits: Columns
}

export function pack(data: TraceData): PackedTrace {
  const names = new Numbers<string>()
  const kinds = new Numbers<SpanKind>()
  const overlaps = new Numbers<string>()
  const { spans, waits } = data
  const packedSpans = {
    length: spans.length,
    stream: column(spans, (span) => span.stream),
    kind: column(spans, (span) => kinds.of(span.kind)),
    name: column(spans, (span) => names.of(span.name)),
    start: differences(spans, (span) => span.start),
    end: column(spans, (span) => Math.round(span.end) - Math.round(span.start)),
    queued: column(spans, (span) => Math.round(span.start) - Math.round(span.queued)),
    ...optionalColumns(spans),
    overlap: column(spans, ({ overlap }) => optional(overlap && overlaps.of(JSON.stringify(overlap)))),
  } satisfies Record<keyof TraceSpan | "length", Column>
  const packedWaits = {
    length: waits.length,
    from: column(waits, (wait) => wait.from.stream),
    to: column(waits, (wait) => wait.to.stream),
    recorded: differences(waits, (wait) => wait.from.time),
    time: column(waits, (wait) => Math.round(wait.to.time) - Math.round(wait.from.time)),
    sent: column(waits, (wait) => Number(wait.sent)),
    region: column(waits, (wait) => optional(wait.region)),
  }
  const tables = {
    names: names.all,
    kinds: kinds.all,
    overlaps: overlaps.all.map((text) => JSON.parse(text) as TracedOverlap),
  }
  return { ...data, ...tables, spans: packedSpans, waits: packedWaits }
}

export function unpack(packed: PackedTrace): TraceData {
  const { names, kinds, overlaps, spans, waits, ...rest } = packed
  return { ...rest, spans: unpackSpans({ names, kinds, overlaps }, spans), waits: unpackWaits(waits) }
}

/** What only some spans have. */
const OPTIONAL = ["region", "branch", "parent", "node", "iteration", "bytes"] as const
type Optional = (typeof OPTIONAL)[number]

function optionalColumns(spans: readonly TraceSpan[]): Record<Optional, Column> {
  const entries = OPTIONAL.map((name) => [name, column(spans, (span) => optional(span[name]))])
  return Object.fromEntries(entries) as Record<Optional, Column>
}

function optionalOf(at: (name: string, index: number) => number, index: number): Partial<Pick<TraceSpan, Optional>> {
  return Object.assign({}, ...OPTIONAL.map((name) => given(name, at(name, index)))) as Partial<
    Pick<TraceSpan, Optional>
  >
}

function unpackSpans(
  { names, kinds, overlaps }: Pick<PackedTrace, "names" | "kinds" | "overlaps">,
  columns: Columns,
): TraceSpan[] {
  const at = reader(columns)
  let start = 0
  return Array.from({ length: columns.length }, (_, index) => {
    start += at("start", index)
    const overlap = overlaps[at("overlap", index) - 1]
    return {
      stream: at("stream", index),
      kind: kinds[at("kind", index)] ?? "external",
      name: names[at("name", index)] ?? "",
      queued: start - at("queued", index),
      start,
      end: start + at("end", index),
      ...optionalOf(at, index),
      ...(overlap === undefined ? {} : { overlap }),
    }
  })
}

function unpackWaits(columns: Columns): TraceWait[] {
  const at = reader(columns)
  let time = 0
  return Array.from({ length: columns.length }, (_, index) => {
    time += at("recorded", index)
    return {
      from: { stream: at("from", index), time },
      to: { stream: at("to", index), time: time + at("time", index) },
      sent: at("sent", index) === 1,
      ...given("region", at("region", index)),
    }
  })
}

function column<T>(rows: readonly T[], valueOf: (row: T) => number): Column {
  const values = rows.map(valueOf)
  return values.length > 0 && values.every((value) => value === values[0]) ? (values[0] ?? 0) : values
}

/** Each value without the one before: small numbers, and exact, because they are whole. */
function differences<T>(rows: readonly T[], valueOf: (row: T) => number): Column {
  let last = 0
  return column(rows, (row) => {
    const value = Math.round(valueOf(row))
    const difference = value - last
    last = value
    return difference
  })
}

function reader(columns: Columns): (name: string, index: number) => number {
  return (name, index) => {
    const values = columns[name] ?? 0
    return typeof values === "number" ? values : (values[index] ?? 0)
  }
}

const optional = (value: number | undefined) => (value === undefined ? 0 : value + 1)

function given<Name extends string>(name: Name, value: number): { [Key in Name]?: number } {
  return value === 0 ? {} : ({ [name]: value - 1 } as { [Key in Name]: number })
}

/** Numbers different values in the order of their first use. */
class Numbers<T> {
  readonly all: T[] = []
  readonly #numbers = new Map<T, number>()

  of(value: T): number {
    const known = this.#numbers.get(value)
    if (known !== undefined) return known
    this.#numbers.set(value, this.all.length)
    return this.all.push(value) - 1
  }
}
