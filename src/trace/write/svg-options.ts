/** The options of a picture of a trace. They must be checked before anything is drawn, because they come from the user. */
import { checkBoolean, checkOptions, mustBe } from "../../common/check.js"

/** What a picture shows. */
export interface SvgOptions {
  /** The width in pixels. Default: 800, at which text is legible. */
  readonly width?: number
  /** Where the picture begins, in nanoseconds since the trace's start. Default: at the first operation. */
  readonly from?: number
  /** Where it ends, in nanoseconds since the trace's start. Default: at the last operation's end. */
  readonly to?: number
  /** A line above the picture. */
  readonly title?: string
  /** The ids of the devices that are shown; all by default. */
  readonly devices?: readonly string[]
  /** Whether the host's calls are shown; false by default. */
  readonly calls?: boolean
}

const names: ReadonlySet<string> = new Set<keyof SvgOptions>(["width", "from", "to", "title", "devices", "calls"])

/** The labels of the lanes and the margins take so much; a picture without room for its lanes is refused. */
const LEAST_WIDTH = 240
const MOST_WIDTH = 100_000

/** @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE */
export function checkSvgOptions(options: SvgOptions): void {
  checkOptions(options, "options", names)
  const { width = LEAST_WIDTH, from, to, title = "", devices = [], calls = false } = options
  if (typeof width !== "number" || !(width >= LEAST_WIDTH && width <= MOST_WIDTH)) {
    throw mustBe("width", `a number from ${LEAST_WIDTH} to ${MOST_WIDTH}`, width, undefined, "AUX_OUT_OF_RANGE")
  }
  checkTime(from, "from")
  checkTime(to, "to")
  if (from !== undefined && to !== undefined && from >= to) {
    throw mustBe("to", `greater than \`from\`, ${from}`, to, undefined, "AUX_OUT_OF_RANGE")
  }
  if (typeof title !== "string") throw mustBe("title", "a string", title)
  if (!Array.isArray(devices)) throw mustBe("devices", "an array of the ids of devices", devices)
  checkBoolean(calls, "calls")
}

function checkTime(value: unknown, what: string): void {
  if (value !== undefined && !Number.isFinite(value)) throw mustBe(what, "a finite number of nanoseconds", value)
}
