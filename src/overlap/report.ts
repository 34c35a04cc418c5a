/** The table of a policy's decisions, for people. */
import type { OverlapDecision } from "./overlap-decision.js"
import type { SamplingCost } from "./sampling/sampler.js"

const HEAD = ["device", "call", "key", "mode", "parallel", "sequential", "gain", "pairs", "checks", "state"]
/** The columns that are aligned on the right. */
const NUMBERS: ReadonlySet<string> = new Set(["parallel", "sequential", "gain", "pairs", "checks"])

/** Longer keys are shortened, because every row is as wide as the widest. */
const LONGEST_KEY = 40

/** The whole report. */
export function reportOf(name: string, decisions: readonly OverlapDecision[], costs: readonly SamplingCost[]): string {
  if (decisions.length === 0) return `Overlap policy "${name}": no call has used it yet.\n`
  const rows = decisions.map(rowOf)
  return [`Overlap policy "${name}"`, ...table([HEAD, ...rows]), costLine(costs), ""].join("\n")
}

function rowOf(decision: OverlapDecision): string[] {
  const { device, call, key, mode, parallel, sequential, pairs, checks } = decision
  const isKnown = parallel !== undefined && sequential !== undefined
  return [
    ...[device, call, shortened(String(key)), mode ?? "parallel"],
    ...[isKnown ? time(parallel) : "", isKnown ? time(sequential) : "", isKnown ? gain(parallel, sequential) : ""],
    ...[String(pairs), String(checks), stateOf(decision)],
  ]
}

function shortened(key: string): string {
  const end = LONGEST_KEY >> 1
  return key.length <= LONGEST_KEY ? key : `${key.slice(0, LONGEST_KEY - end - 1)}…${key.slice(-end)}`
}

/** A decision stays if the other mode is faster by no more than the margin. Without a word that looks like a mistake. */
function stateOf({ state, mode, parallel, sequential }: OverlapDecision): string {
  if (mode === undefined || parallel === undefined || sequential === undefined) return state
  const isOther = mode === "parallel" ? sequential < parallel : parallel < sequential
  return isOther ? `${state}, about equal` : state
}

/** What the sequential mode would take more, or less. */
function gain(parallel: number, sequential: number): string {
  return `${(sequential / parallel).toFixed(3)} ×`
}

function costLine(costs: readonly SamplingCost[]): string {
  const reads = costs.reduce((sum, cost) => sum + cost.reads, 0)
  const readTime = costs.reduce((sum, cost) => sum + cost.readTime, 0)
  if (reads === 0) return "No times were read yet."
  return `Reading ${reads} times, outside the calls, took ${time(readTime)}: ${time(readTime / reads)} each.`
}

/** Microseconds as a short text. */
function time(microseconds: number): string {
  if (microseconds >= 1e6) return `${(microseconds / 1e6).toFixed(2)} s`
  if (microseconds >= 1e3) return `${(microseconds / 1e3).toFixed(2)} ms`
  return `${microseconds.toFixed(microseconds < 10 ? 2 : 1)} µs`
}

function table(rows: readonly (readonly string[])[]): string[] {
  const [head = []] = rows
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const cellOf = (cell: string, column: number) => {
    const width = widths[column] ?? 0
    return NUMBERS.has(head[column] ?? "") ? cell.padStart(width) : cell.padEnd(width)
  }
  return rows.map((row) => row.map(cellOf).join("  ").trimEnd())
}
