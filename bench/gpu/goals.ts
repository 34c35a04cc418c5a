/** The performance goals of DESIGN.md beside the measured figures. */

import { factLines } from "./fact-goals.js"
import { bandwidth, type GoalLine, quotient, time, times } from "./goal-line.js"
import { ours, type PeerName } from "./peers.js"
import { groupShapes, productShapes } from "./product-calls.js"
import type { Measured } from "./rounds.js"
import type { Report } from "./run.js"

/** One figure of each peer; undefined if it is missing. */
type Figure = (peer: PeerName) => number | undefined

const everybody: readonly PeerName[] = [ours, "C++", "PyTorch", "cuda.core", "CuPy"]

/** The lines of a report. */
export function goalLines(report: Report): GoalLine[] {
  const row = (name: string): Figure => figureOf(report, name)
  const forkJoin = row("fork-join-beyond")
  return [
    against("fork-join, host time, its two launches subtracted", forkJoin, "C++", 1.8),
    plain("… with launches that name their streams, as the others' do", row("fork-join-beyond:named")),
    plain("… its four driver calls alone, through koffi", row("four-calls-between")),
    plain("… on streams that have allocated through the driver", row("fork-join-beyond:allocated")),
    against("… beside cuda.core's four bare calls", either(forkJoin, row("four-calls")), "cuda.core", 1),
    against("… beside PyTorch's, launches subtracted, too", forkJoin, "PyTorch", 1 / 20),
    plain("fork-join with two launches, host time", row("fork-join")),
    plain("fork-join of empty functions, host time", row("fork-join-empty")),
    plain("the two launches alone, on two streams", row("two-launches")),
    plain("record, wait, record, wait, bare", row("four-calls")),
    against("kernel launch with four arguments, host time", row("launch"), "C++", 1.2),
    ...below("kernel launch", row("launch"), ["cuda.core", "CuPy", "PyTorch"]),
    plain("an array made and dropped", row("allocation")),
    against("graph launch, host time", row("graph-launch"), "C++", 1.3),
    ...below("graph launch", row("graph-launch"), ["PyTorch"]),
    against("fork-join with two launches, until done", row("fork-join-done"), "C++", 1.2),
    plain("the same as a graph, until done", row("graph-done")),
    ...products(report),
    wideFill(report),
    ...expertsAtOneToken(report),
    ...[50, 100].map((time) => end(report, time, 15_000)),
    ...[500, 5000].map((time) => end(report, time, 120_000)),
    processorTime(report, 5000, 0.25),
    overlap(report),
    withoutAux(report),
    plain("AsyncLocalStorage.run alone", row("async-local-storage")),
    ...factLines(report),
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

/** Our figure is that of the first row, the others' that of the second. */
const either =
  (first: Figure, second: Figure): Figure =>
  (peer) =>
    peer === ours ? first(peer) : second(peer)

/** Ours must be at most this many times another's. */
function against(what: string, figure: Figure, other: PeerName, most: number): GoalLine {
  const ratio = quotient(figure(ours), figure(other))
  const goal = most === 1 ? `below ${other}` : `≤ ${most < 1 ? `1/${Math.round(1 / most)}` : most} × ${other}`
  const reached = ratio === undefined ? undefined : ratio <= most
  return { what, values: shown(figure), ratio: times(ratio), goal, reached }
}

/** Ours must be below each of the others'. */
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

/** Ours must be at most this value. */
function atMost(what: string, figure: Figure, most: number, goal: string, show = time): GoalLine {
  const value = figure(ours)
  const reached = value === undefined ? undefined : value <= most
  return { what, values: shown(figure, show), ratio: "", goal, reached }
}

function plain(what: string, figure: Figure, show = time): GoalLine {
  return { what, values: shown(figure, show), ratio: "", goal: "", reached: undefined }
}

/** None in a report from before they were measured. */
function products(report: Report): GoalLine[] {
  if (!report.parts.some(({ name }) => name === "product-calls")) return []
  return [
    ...productShapes.flatMap((shape) => product(report, shape)),
    ...groupShapes.map((shape) => group(report, shape)),
  ]
}

function product(report: Report, { m, n, k, count }: (typeof productShapes)[number]): GoalLine[] {
  const sizes = `${m}:${n}:${k}:${count}`
  const figure = figureOf(report, `product:${sizes}`)
  const name = `${count > 1 ? `${count} × (` : ""}${m}×${k} by ${k}×${n}${count > 1 ? ")" : ""}`
  return [
    against(`matmul ${name}, bfloat16, host time (C++: cuBLASLt, a plan made once)`, figure, "C++", 1.25),
    ...below(`matmul ${name}`, figure, ["PyTorch"]),
    plain("… by cublasGemmEx", figureOf(report, `product-gemm:${sizes}`)),
  ]
}

function group(report: Report, { experts, n, k }: (typeof groupShapes)[number]): GoalLine {
  return plain(
    `a group of ${experts} × (1×${k} by ${k}×${n}), host time`,
    figureOf(report, `grouped:${experts}:${n}:${k}`),
  )
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

function wideFill(report: Report): GoalLine {
  const ratio: Figure = (peer) =>
    quotient(figureOf(report, "fill-float64")(peer), figureOf(report, "fill-float32")(peer))
  return { ...atMost("a fill of 1 GiB of float64 ÷ of float32", ratio, 1.1, "≤ 1.1", times), ratio: times(ratio(ours)) }
}

function withoutAux(report: Report): GoalLine {
  const beyond = minus(figureOf(report, "null-aux"), figureOf(report, "two-functions"))
  return atMost("auxStream null, beyond calling the two functions", beyond, 20, "≤ 20 ns")
}

function shown(figure: Figure, show: (value: number) => string = time): Partial<Record<PeerName, string>> {
  const entries = everybody.flatMap((peer) => {
    const value = figure(peer)
    return value === undefined ? [] : [[peer, show(value)] as const]
  })
  return Object.fromEntries(entries)
}
