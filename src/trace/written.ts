/** Reads a file that a trace was written to, for its summary in a terminal. Never throws: the trace is there without it. */
import { readFileSync, statSync } from "node:fs"
import { extname } from "node:path"
import { type PackedTrace, unpack } from "./data/columns.js"
import type { TraceData } from "./data/data.js"
import type { TraceFigures } from "./data/figures.js"
import { textOf } from "./text.js"

/** Larger files take seconds to read. */
const MOST_BYTES = 64 * 2 ** 20

/** The report as a short text; undefined for a form that is not read back, and for a very large file. */
export function summaryOf(path: string): string | undefined {
  try {
    return statSync(path).size > MOST_BYTES ? undefined : readers.get(extname(path))?.(readFileSync(path, "utf8"))
  } catch {
    return undefined
  }
}

const readers = new Map<string, (text: string) => string | undefined>([
  [
    ".json",
    (text) => {
      const { figures, ...data } = JSON.parse(text) as TraceData & { readonly figures: TraceFigures }
      return textOf(data, figures)
    },
  ],
  [
    ".html",
    (text) => {
      const [, inside] = /<script type="application\/json" id="trace">(.*?)<\/script>/s.exec(text) ?? []
      if (inside === undefined) return undefined
      const { trace, figures } = JSON.parse(inside) as { readonly trace: PackedTrace; readonly figures: TraceFigures }
      return textOf(unpack(trace), figures)
    },
  ],
])
