/** The goals for findings that are not rows. */

import { goals } from "./decisions.js"
import { policyGoals } from "./policies.js"
import { type GoalLine, times } from "./goal-line.js"
import { ours } from "./peers.js"
import type { Report } from "./run.js"
import { toolNames } from "./sanitizers.js"

type Facts = Readonly<Record<string, unknown>>

/** A finding, and whether it meets its goal. */
interface Found {
  readonly value: string
  readonly reached: boolean
}

/** The lines of a report, including those that were not measured. */
export function factLines({ parts }: Report): GoalLine[] {
  const factsOf = (name: string) => parts.find((part) => part.name === name && part.status === "done")?.facts
  const memory = factsOf("memory")
  return [
    line("fork-join on the host device: two tasks on piscina ÷ ours", "≥ 3 ×", hostForkJoin(factsOf("host"))),
    line("overlap on the host device: two kernels ÷ the longer one", "≤ 1.08", hostOverlap(factsOf("host"))),
    line("conformance on cuda:0", "none fails", conformance(factsOf("conformance"))),
    line("matrix products by cuBLAS, against float64", "none fails", conformance(factsOf("products"))),
    line("what only a GPU shows: PTX and cubin, a fault, …", "none fails", conformance(factsOf("gpu-tests"))),
    ...toolNames.map((tool) =>
      line(`the same under ${tool}`, "no errors, all watched", watched(factsOf("sanitizers")?.[tool])),
    ),
    controlLine("a graph of which nothing is read unwritten", factsOf("sanitizers")?.["control"]),
    controlLine("a graph with a loop, without fault", factsOf("sanitizers")?.["conditionalControl"]),
    line("the main job", "its checks pass", mainJob(factsOf("main-job"))),
    line("fresh decisions about graphs", `the faster way in ≥ ${100 * goals.right} %`, decided(factsOf("decisions"))),
    line("fresh decisions, eager", `the faster way in ≥ ${100 * policyGoals.right} %`, decided(factsOf("policies"))),
    line(
      "later calls as decided, eager",
      `≤ ${100 * policyGoals.lossRelative} % or ${policyGoals.lossMicroseconds} µs over the better way`,
      lost(factsOf("policies")),
    ),
    ...["many-fork-joins", "many-lifetimes", "many-graph-launches", "many-captures", "disposals"].map((name) =>
      line(`growth over ${countOf(memory?.[name])}${name}`, "flat memory", growth(memory?.[name])),
    ),
  ]
}

function line(what: string, goal: string, found: Found | undefined): GoalLine {
  return { what, values: found === undefined ? {} : { [ours]: found.value }, ratio: "", goal, reached: found?.reached }
}

const isObject = (value: unknown): value is Facts => typeof value === "object" && value !== null

function derived(host: Facts | undefined, name: string): number | undefined {
  const value = isObject(host?.["derived"]) ? host["derived"][name] : undefined
  return typeof value === "number" ? value : undefined
}

function hostForkJoin(host: Facts | undefined): Found | undefined {
  const value = derived(host, "fork-join: piscina ÷ auxstream, await completed()")
  return value === undefined ? undefined : { value: times(value), reached: value >= 3 }
}

function hostOverlap(host: Facts | undefined): Found | undefined {
  const value = derived(host, "overlap: kernels of equal work: beside each other ÷ the longer one")
  return value === undefined ? undefined : { value: value.toFixed(3), reached: value <= 1.08 }
}

function conformance(found: Facts | undefined): Found | undefined {
  if (found === undefined) return undefined
  const [passed, failed] = [Number(found["passed"]), Number(found["failed"])]
  const reached = passed > 0 && Array.isArray(found["failing"]) && found["failing"].length === 0
  return { value: `${passed} passed, ${failed} failed`, reached }
}

function watched(found: unknown): Found | undefined {
  if (!isObject(found)) return undefined
  const [errors, suites, all] = [Number(found["errors"]), Number(found["suites"]), Number(found["of"])]
  const unwatched = isObject(found["unwatched"]) ? Object.entries(found["unwatched"]) : []
  const rest = unwatched.map(([suite, why]) => `; ${suite} ${String(why).split("\n")[0]}`).join("")
  return { value: `${errors} errors in ${suites} of ${all} suites${rest}`, reached: errors === 0 && suites === all }
}

/** Not a goal, but it tells how reliable initcheck's other reports are. */
function controlLine(program: string, found: unknown): GoalLine {
  const what = `… initcheck on ${program}`
  return { what, values: isObject(found) ? { "C++": controlled(found) } : {}, ratio: "", goal: "", reached: undefined }
}

function controlled({ errors, failed, unwatched }: Facts): string {
  if (typeof unwatched === "string") return unwatched.split("\n")[0] ?? ""
  const counts = Array.isArray(errors) ? errors.map(Number) : []
  const told = counts.filter((count) => count > 0).length
  return `up to ${Math.max(0, ...counts)} errors, some in ${told} of ${counts.length} runs; ${Number(failed)} failed`
}

/** The workload with the fewest right decisions. */
function decided(facts: Facts | undefined): Found | undefined {
  if (facts === undefined) return undefined
  const shares = Object.entries(facts).map(([name, found]) => {
    const share = isObject(found) ? Number(found["right"]) / Number(found["decisions"]) : NaN
    return { name, share: Number.isNaN(share) ? 0 : share }
  })
  const worst = shares.toSorted((a, b) => a.share - b.share)[0]
  if (worst === undefined) return undefined
  return { value: `${(100 * worst.share).toFixed(0)} % (${worst.name})`, reached: worst.share >= goals.right }
}

/** The workload whose later calls lose most to the better way. */
function lost(facts: Facts | undefined): Found | undefined {
  if (facts === undefined) return undefined
  const losses = Object.entries(facts).map(([name, found]) => {
    const [relative, microseconds] = ["lossRelative", "lossMicroseconds"].map((what) =>
      isObject(found) ? Number(found[what]) : NaN,
    )
    return { name, relative: relative ?? NaN, microseconds: microseconds ?? NaN }
  })
  const isSmall = ({ relative, microseconds }: (typeof losses)[number]) =>
    relative <= policyGoals.lossRelative || microseconds <= policyGoals.lossMicroseconds
  const worst = losses.toSorted((a, b) => Number(isSmall(a)) - Number(isSmall(b)) || b.relative - a.relative)[0]
  if (worst === undefined) return undefined
  const { name, relative, microseconds } = worst
  const value = `${(100 * relative).toFixed(1)} %, ${microseconds.toFixed(2)} µs (${name})`
  return { value, reached: losses.every(isSmall) }
}

function mainJob(found: Facts | undefined): Found | undefined {
  if (found === undefined) return undefined
  const { exitCode, report } = found
  const speedUp = isObject(report) ? report["speedUp"] : undefined
  const value =
    typeof speedUp === "number" ? `side by side ${times(speedUp)} as fast` : `ended with ${String(exitCode)}`
  return { value, reached: exitCode === 0 }
}

const mebibyte = 2 ** 20
/** The driver's allocation granularity, and the noise of a process's size. */
const flat = { taken: 2 * mebibyte, resident: 16 * mebibyte } as const

const countOf = (found: unknown) => (isObject(found) ? `${Number(found["operations"] ?? found["rounds"])} ` : "")

function growth(found: unknown): Found | undefined {
  if (found === undefined) return undefined
  if (!isObject(found)) return { value: typeof found === "string" ? found : "no figures", reached: false }
  const [taken, resident] = [Number(found["takenGrowth"] ?? 0), Number(found["residentGrowth"] ?? 0)]
  const value = `device ${megabytes(taken)}, process ${megabytes(resident)}`
  return { value, reached: taken <= flat.taken && resident <= flat.resident }
}

const megabytes = (bytes: number) => `${bytes < 0 ? "−" : "+"}${(Math.abs(bytes) / mebibyte).toFixed(1)} MiB`
