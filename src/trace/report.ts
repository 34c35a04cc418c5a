/** What a trace found: its data, the figures that follow from them, and the forms in which they can be written. */
import { performance } from "node:perf_hooks"
import { analyse } from "./analysis/analyse.js"
import type { TraceData } from "./data/data.js"
import type { TraceFigures } from "./data/figures.js"
import { textOf } from "./text.js"
import { toHtml } from "./write/html.js"
import { toPerfetto } from "./write/perfetto.js"
import { toSvg } from "./write/svg.js"
import type { SvgOptions } from "./write/svg-options.js"

export type { SvgOptions } from "./write/svg-options.js"

/**
 * The report of a trace. Times are nanoseconds since the trace began.
 *
 * @example
 * const report = await trace.stop()
 * writeFileSync("trace.pftrace", report.toPerfetto()) // for https://ui.perfetto.dev
 * if (report.overlap < 0.5) console.log(`${report}`)
 */
export class TraceReport {
  /** Everything that was recorded, as plain data. */
  readonly data: TraceData
  #figures: TraceFigures | undefined

  /** @internal */
  constructor(data: TraceData) {
    this.data = data
  }

  /** The figures of the whole trace, of each device and of each fork-join, and the critical path. */
  get figures(): TraceFigures {
    return (this.#figures ??= analyse(this.data))
  }

  /**
   * How much of the work that could run side by side did: (Σ busy − union) ÷ (Σ busy − longest), where busy is the time in
   * which a stream ran something. 1 if the busiest stream hides all others; 0 if nothing ran side by side, or only one stream ran
   * anything.
   */
  get overlap(): number {
    return this.figures.total.overlap ?? 0
  }

  /** The data with the figures, for `JSON.stringify`. */
  toJSON(): TraceData & {
    /** As in {@link figures}. */
    readonly figures: TraceFigures
  } {
    return { ...this.data, figures: this.figures }
  }

  /** The trace as one HTML file that shows it. It loads nothing: open it from anywhere. */
  toHtml(): string {
    return toHtml(this.data, this.figures)
  }

  /** The trace for Perfetto's viewer, https://ui.perfetto.dev: the contents of a `.pftrace` file. */
  toPerfetto(): Uint8Array {
    return toPerfetto(this.data)
  }

  /**
   * A picture of the trace, or of a part of it: the contents of an `.svg` file for a page of text. It follows the reader's choice
   * of light or dark.
   *
   * @param options the part, the width and the title
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE
   * @example
   * writeFileSync("timeline.svg", report.toSvg({ from: 2e6, to: 5e6, title: "Two layers" })) // the third to fifth millisecond
   */
  toSvg(options: SvgOptions = {}): string {
    return toSvg(this.data, options)
  }

  /** A short text: the overlap, what each device and each kind of fork-join gained and lost, the critical path, the cost. */
  toString(): string {
    return textOf(this.data, this.figures)
  }

  /**
   * @internal Adds an entry to Node's performance timeline for each fork-join that ran something.
   *
   * @param toLocal converts a time of the trace to `performance.now()`
   */
  measure(toLocal: (time: number) => number): void {
    this.data.regions.forEach(({ name, mode, reason, ran }, index) => {
      if (ran === undefined) return
      const { gained = 0, lost = [] } = this.figures.regions[index] ?? {}
      const [start, end] = [Math.max(0, toLocal(ran.start)), Math.max(0, toLocal(ran.end))]
      performance.measure(`auxstream ${name}`, { start, end, detail: { mode, reason, gained, lost } })
    })
  }
}
