/** Traces the whole program if the environment asks for it, and writes the trace each second and at the end. */
import { renameSync, rmSync, writeFileSync } from "node:fs"
import { extname, resolve } from "node:path"
import process from "node:process"
import { isMainThread, threadId } from "node:worker_threads"
import { mustBe } from "../common/check.js"
import { showThrown } from "../common/show.js"
import { now, setTimeout } from "../common/timers.js"
import { warnOnce } from "../common/warn.js"
import { beforeFirstOpen } from "../runtime/registry.js"
import type { TraceReport } from "./report.js"
import { startTrace, type Trace } from "./trace.js"

/** Milliseconds from one file to the next. */
const PERIOD = 1000
/** Writing takes at most one part in so many of the program's time. */
const SHARE = 20

const forms = new Map<string, (report: TraceReport) => string | Uint8Array>([
  [".html", (report) => report.toHtml()],
  [".json", (report) => JSON.stringify(report)],
  [".pftrace", (report) => report.toPerfetto()],
])

beforeFirstOpen(() => {
  const path = process.env["AUXSTREAM_TRACE"]
  if (path === undefined || path === "") return
  const form = forms.get(extname(path))
  if (form === undefined) throw mustBe("AUXSTREAM_TRACE", `a file that ends in ${[...forms.keys()].join(", ")}`, path)
  const file = new TraceFile(resolve(ofThread(path)), form, startTrace())
  file.writeLater(PERIOD)
  process.on("exit", () => file.write())
})

/** Each Worker writes a file of its own. */
function ofThread(path: string): string {
  if (isMainThread) return path
  const extension = extname(path)
  return `${path.slice(0, -extension.length)}.worker-${threadId}${extension}`
}

/** The file of a trace that runs until the program ends. Readers see the old file or the new one, never a part. */
class TraceFile {
  readonly #path: string
  readonly #form: (report: TraceReport) => string | Uint8Array
  readonly #trace: Trace

  constructor(path: string, form: (report: TraceReport) => string | Uint8Array, trace: Trace) {
    this.#path = path
    this.#form = form
    this.#trace = trace
  }

  writeLater(milliseconds: number): void {
    const timer = setTimeout(() => {
      const start = now()
      this.write()
      this.writeLater(Math.max(PERIOD, SHARE * (now() - start)))
    }, milliseconds)
    timer.unref()
  }

  /** Writes what has run so far. Never throws: a trace must not end the program. */
  write(): void {
    const temporary = `${this.#path}.${process.pid}.${threadId}.tmp`
    try {
      // In a folder that others can write to, a link of theirs may be in its place. It is never followed.
      rmSync(temporary, { force: true })
      writeFileSync(temporary, this.#form(this.#trace.peek()), { flag: "wx" })
      renameSync(temporary, this.#path)
    } catch (error) {
      rmSync(temporary, { force: true })
      warnOnce("trace file", `The trace could not be written to ${this.#path}: ${showThrown(error)}`, "AUX_TRACE")
    }
  }
}
