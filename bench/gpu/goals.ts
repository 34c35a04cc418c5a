/** What was to be reached (DESIGN.md, performance), beside what was. */

import { ours, type PeerName } from "./peers.js"
import type { Measured } from "./rounds.js"
import type { Report } from "./run.js"

/** A line of the summary. */
export interface GoalLine {
  readonly what: string
  /** By name; a peer that does not have it is not in here. */
  readonly values: Readonly<Partial<Record<PeerName, string>>>
  /** Ours ÷ that of the one that the goal names, or whatever the goal limits. */
  readonly ratio: string
  readonly goal: string
  /** Undefined where nothing was to be reached, or something is missing. */
  readonly reached: boolean | undefined
}

/** One figure of everybody; undefined where it is missing. */
type Figure = (peer: PeerName) => number | undefined

const everybody: readonly PeerName[] = [ours, "C++", "PyTorch", "cuda.core", "CuPy"]

/** The lines of a report. */
export function goalLines(report: Report): GoalLine[] {
  const row = (name: string): Figure => figureOf(report, name)
  const forkJoin = minus(row("fork-join"), row("two-launches"))
  return [
    against("fork-join, host time, its two launches subtracted", forkJoin, "C++", 1.8),
    against("… beside cuda.core's four bare calls", either(forkJoin, row("four-calls")), "cuda.core", 1),
    against("… beside PyTorch's, launches subtracted, too", forkJoin, "PyTorch", 1 / 20),
    plain("fork-join with two launches, host time", row("fork-join")),
    plain("fork-join of empty functions, host time", row("fork-join-empty")),
    plain("the two launches alone, on two streams", row("two-launches")),
    plain("record, wait, record, wait, bare", row("four-calls")),
    against("kernel launch with four arguments, host time", row("launch"), "C++", 1.2),
    ...below("kernel launch", row("launch"), ["cuda.core", "CuPy", "PyTorch"]),
    against("graph launch, host time", row("graph-launch"), "C++", 1.3),
    ...below("graph launch", row("graph-launch"), ["PyTorch"]),
    against("fork-join with two launches, until done", row("fork-join-done"), "C++", 1.2),
    plain("the same as a graph, until done", row("graph-done")),
    ...expertsAtOneToken(report),
    ...[50, 100].map((time) => end(report, time, 15_000)),
    ...[500, 5000].map((time) => end(report, time, 120_000)),
    processorTime(report, 5000, 0.25),
    overlap(report),
    withoutAux(report),
    plain("AsyncLocalStorage.run alone", row("async-local-storage")),
    ...facts(report),
  ]
}

function figureOf({ measured }: Report, row: string): Figure {
  return (peer) => rowOf(measured, row, peer)?.median
}

const rowOf = (measured: readonly Measured[], row: string, peer: string) =>
  measured.find((found) => found.row === row && found.peer === peer)

const minus =
  (whole: Figure, part: Figure): Figure =>
  (peer) => {
    const [a, b] = [whole(peer), part(peer)]
    return a === undefined || b === undefined ? undefined : a - b
  }

/** Ours of the first, the others' of the second. */
const either =
  (first: Figure, second: Figure): Figure =>
  (peer) =>
    peer === ours ? first(peer) : second(peer)

/** Ours is to be at most so many times another's. */
function against(what: string, figure: Figure, other: PeerName, most: number): GoalLine {
  const ratio = quotient(figure(ours), figure(other))
  const goal = most === 1 ? `below ${other}` : `≤ ${most < 1 ? `1/${Math.round(1 / most)}` : most} × ${other}`
  const reached = ratio === undefined ? undefined : ratio <= most
  return { what, values: shown(figure), ratio: times(ratio), goal, reached }
}

/** Ours is to be below each of the others'. */
function below(what: string, figure: Figure, others: readonly PeerName[]): GoalLine[] {
  return others.map((other) => {
    const line = against(`… ${what} beside ${other}'s`, figure, other, 1)
    const [mine, theirs] = [line.values[ours], line.values[other]]
    const values = {
      ...(mine === undefined ? {} : { [ours]: mine }),
      ...(theirs === undefined ? {} : { [other]: theirs }),
    }
    return { ...line, values }
  })
}

/** Ours is to be at most so much. */
function atMost(what: string, figure: Figure, most: number, goal: string, show = time): GoalLine {
  const value = figure(ours)
  const reached = value === undefined ? undefined : value <= most
  return { what, values: shown(figure, show), ratio: "", goal, reached }
}

function plain(what: string, figure: Figure, show = time): GoalLine {
  return { what, values: shown(figure, show), ratio: "", goal: "", reached: undefined }
}

function expertsAtOneToken(report: Report): GoalLine[] {
  const way = (name: string, workload = "experts", mode = "eager") => figureOf(report, `${workload}:1:${mode}:${name}`)
  const speedUp = (workload?: string): Figure => {
    const [sequential, parallel] = [way("sequential", workload), way("parallel", workload)]
    return (peer) => quotient(sequential(peer), parallel(peer))
  }
  const beside = (name: string, workload = "experts"): Figure => {
    return (peer) => rowOf(report.measured, `${workload}:1:eager:parallel`, peer)?.beside[name]
  }
  const mine = speedUp()(ours)
  return [
    {
      what: "mixture-of-experts layer, one token, eager: speed side by side ÷ in sequence (ours: 5 launches)",
      values: shown(speedUp(), times),
      ratio: times(mine),
      goal: "≥ 1.15 ×",
      reached: mine === undefined ? undefined : mine >= 1.15,
    },
    plain("… in sequence, a layer", way("sequential")),
    plain("… side by side, a layer", way("parallel")),
    plain("… of that, host time", beside("host")),
    plain("… weights read meanwhile", beside("bandwidth"), bandwidth),
    plain("… as a graph, side by side", way("parallel", "experts", "captured")),
    plain("… by cuBLAS (9 launches), speed side by side ÷ in sequence", speedUp("experts-cublas"), times),
    plain("… by cuBLAS, side by side", way("parallel", "experts-cublas")),
    plain("… by cuBLAS, of that, host time", beside("host", "experts-cublas")),
  ]
}

/** The C++ program blocks in cuStreamSynchronize meanwhile. */
function end(report: Report, microseconds: number, most: number): GoalLine {
  const what = `a stream's end after a kernel of ${microseconds} µs, beyond the kernel's time`
  return atMost(what, figureOf(report, `end:${microseconds}`), most, `≤ ${most / 1000} µs`)
}

function processorTime(report: Report, microseconds: number, most: number): GoalLine {
  const cores: Figure = (peer) => rowOf(report.measured, `end:${microseconds}`, peer)?.beside["cores"]
  return atMost(`… processor time over ${microseconds} µs, in cores`, cores, most, `< ${most}`, (value) =>
    value.toFixed(2),
  )
}

function overlap(report: Report): GoalLine {
  const [both, one] = [figureOf(report, "spin-both:1000"), figureOf(report, "spin-one:1000")]
  const ratio: Figure = (peer) => quotient(both(peer), one(peer))
  const what = "overlap: two kernels of 1 ms on half the multiprocessors each ÷ one of them"
  return { ...atMost(what, ratio, 1.05, "≤ 1.05", (value) => value.toFixed(3)), ratio: times(ratio(ours)) }
}

function withoutAux(report: Report): GoalLine {
  const beyond = minus(figureOf(report, "null-aux"), figureOf(report, "two-functions"))
  return atMost("auxStream null, beyond calling the two functions", beyond, 20, "≤ 20 ns")
}

/** What the parts found that are no rows. */
function facts({ parts }: Report): GoalLine[] {
  const factsOf = (name: string) => parts.find((part) => part.name === name && part.status === "done")?.facts
  const line = (what: string, value: string, goal: string, reached: boolean): GoalLine => ({
    what,
    values: { [ours]: value },
    ratio: "",
    goal,
    reached,
  })
  const suites = factsOf("conformance")
  const lines: GoalLine[] = []
  if (suites !== undefined) {
    const [passed, failed, failing] = [Number(suites["passed"]), Number(suites["failed"]), listOf(suites["failing"])]
    const bad = failing.length > 0
    lines.push(line("conformance on cuda:0", `${passed} passed, ${failed} failed`, "none fails", passed > 0 && !bad))
  }
  for (const tool of ["memcheck", "initcheck"]) {
    const found = factsOf(tool)
    if (found === undefined) continue
    const text = `${String(found["errors"])} errors in ${String(found["suites"])} of ${String(found["of"])} suites`
    lines.push(line(`the same under ${tool}`, text, "no errors", found["errors"] === 0))
  }
  const job = factsOf("main-job")
  if (job !== undefined) lines.push(mainJobLine(job, line))
  const memory = factsOf("memory")
  for (const name of ["many-fork-joins", "many-lifetimes", "disposals"]) {
    const found = memory?.[name]
    if (found !== undefined) lines.push(memoryLine(name, found, line))
  }
  return lines
}

type MakeLine = (what: string, value: string, goal: string, reached: boolean) => GoalLine

function mainJobLine({ exitCode, report }: Readonly<Record<string, unknown>>, line: MakeLine): GoalLine {
  const speedUp: unknown = typeof report === "object" && report !== null ? Reflect.get(report, "speedUp") : undefined
  const value =
    typeof speedUp === "number" ? `side by side ${times(speedUp)} as fast` : `ended with ${String(exitCode)}`
  return line("the main job", value, "its checks pass", exitCode === 0)
}

const mebibyte = 2 ** 20
/** What the driver hands out at a time, and what a process's size swings by. */
const flat = { taken: 2 * mebibyte, resident: 16 * mebibyte } as const

function memoryLine(name: string, found: unknown, line: MakeLine): GoalLine {
  if (typeof found !== "object" || found === null) return line(name, String(found), "flat memory", false)
  const number = (key: string) => Number(Reflect.get(found, key) ?? 0)
  const [taken, resident] = [number("takenGrowth"), number("residentGrowth")]
  const count = number("operations") || number("rounds")
  const value = `device ${megabytes(taken)}, process ${megabytes(resident)}`
  return line(`growth over ${count} ${name}`, value, "flat memory", taken <= flat.taken && resident <= flat.resident)
}

const megabytes = (bytes: number) => `${bytes < 0 ? "−" : "+"}${(Math.abs(bytes) / mebibyte).toFixed(1)} MiB`
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

function shown(figure: Figure, show: (value: number) => string = time): Partial<Record<PeerName, string>> {
  const entries = everybody.flatMap((peer) => {
    const value = figure(peer)
    return value === undefined ? [] : [[peer, show(value)] as const]
  })
  return Object.fromEntries(entries)
}

/** A quotient of two figures that are there. What noise has brought below nothing is nothing to compare with. */
export function quotient(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined || b <= 0 ? undefined : a / b
}

/** Nanoseconds, in the unit that suits them. Three digits, which is more than such figures are worth. */
export function time(nanoseconds: number): string {
  const size = Math.abs(nanoseconds)
  if (size < 1000) return `${digits(nanoseconds)} ns`
  return size < 1e6 ? `${digits(nanoseconds / 1000)} µs` : `${digits(nanoseconds / 1e6)} ms`
}

const digits = (value: number) =>
  Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))

/** Bytes in a nanosecond. */
export const bandwidth = (value: number): string => `${(value / 1000).toFixed(2)} TB/s`

export function times(value: number | undefined): string {
  return value === undefined ? "" : `${value.toFixed(value < 0.1 ? 3 : 2)} ×`
}
