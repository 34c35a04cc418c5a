/**
 * Where the program made a call. Kept as numbers and strings: an error object would keep the functions on the stack, and so
 * the program's objects.
 */
import { findSourceMap } from "node:module"

/** One call on the stack. */
export interface Frame {
  readonly name: string | null
  readonly file: string
  readonly line: number
  readonly column: number
}

/** How many calls of the program are kept. */
const KEPT = 4
/**
 * How many calls are looked at, because those of the library are left out. More if all of these are the library's. Enough for
 * a launch in a fork-join: a fork-join's calls are as many as a launch's.
 */
const FEW = 20
const MANY = 60

/**
 * The folder of the library's code: of its source files, or of the package's. Undefined in a CommonJS bundle. In another
 * bundle, everything is in this folder; then nothing is left out.
 */
const library = import.meta.url
  ? new URL(import.meta.url.endsWith("/sanitizer/source/stack.js") ? "../.." : ".", import.meta.url).href
  : undefined

/** The program's calls that led here, the innermost first. */
export function captureStack(): readonly Frame[] {
  const frames = lookAt(FEW, programFrames)
  if (frames.length > 0) return frames
  const others = lookAt(MANY, programFrames)
  return others.length > 0 ? others : lookAt(FEW, allFrames)
}

type Prepare = (error: unknown, sites: NodeJS.CallSite[]) => readonly Frame[]

function lookAt(count: number, prepare: Prepare): readonly Frame[] {
  const { stackTraceLimit } = Error
  const prepareStackTrace: unknown = Reflect.get(Error, "prepareStackTrace")
  const holder: { stack?: unknown } = {}
  try {
    Error.stackTraceLimit = count
    Error.prepareStackTrace = prepare
    Error.captureStackTrace(holder, captureStack)
    const { stack } = holder
    return isFrames(stack) ? stack : []
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    Reflect.set(Error, "prepareStackTrace", prepareStackTrace)
  }
}

function isFrames(stack: unknown): stack is readonly Frame[] {
  return Array.isArray(stack)
}

/** The calls outside of the library and of Node.js. */
function programFrames(_error: unknown, sites: NodeJS.CallSite[]): readonly Frame[] {
  const frames: Frame[] = []
  for (const site of sites) {
    const file = site.getFileName()
    if (typeof file !== "string" || isOfLibrary(file) || file.startsWith("node:")) continue
    frames.push(frameOf(site, file))
    if (frames.length === KEPT) break
  }
  return frames
}

function allFrames(_error: unknown, sites: NodeJS.CallSite[]): readonly Frame[] {
  return sites.map((site) => frameOf(site, site.getFileName() ?? ""))
}

function isOfLibrary(file: string): boolean {
  return library !== undefined && file.startsWith(library)
}

function frameOf(site: NodeJS.CallSite, file: string): Frame {
  return { name: site.getFunctionName(), file, line: site.getLineNumber() ?? 0, column: site.getColumnNumber() ?? 0 }
}

/** The lines of a stack, as in `error.stack`. */
export function stackText(frames: readonly Frame[] | undefined): string {
  return (frames ?? [])
    .map((frame) => `    at ${frame.name === null ? placeOf(frame) : `${frame.name} (${placeOf(frame)})`}`)
    .join("\n")
}

/** The innermost call, such as `file:///app.ts:12:7`. */
export function lineOf(frames: readonly Frame[] | undefined): string | undefined {
  const [frame] = frames ?? []
  return frame && placeOf(frame)
}

/** The place in the source, if Node.js was started with `--enable-source-maps` and there is a map. */
function placeOf({ file, line, column }: Frame): string {
  const entry = findSourceMap(file)?.findEntry(line - 1, column - 1)
  if (entry === undefined || !("originalSource" in entry)) return `${file}:${line}:${column}`
  return `${entry.originalSource}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
}
