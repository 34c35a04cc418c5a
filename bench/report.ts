import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism, cpus, platform, release } from "node:os"
import { listDevices } from "auxstream"
import type { Benchmark, Derived, Row } from "./harness.js"
import { threads } from "./threads.js"

/** The results with the machine and the versions: the contents of a file in bench/results/. */
export interface Report {
  readonly date: string
  readonly device: string
  readonly cpu: string
  readonly cores: number
  readonly threads: number
  readonly system: string
  /** The share of the machine's processor time that other processes used meanwhile, from 0 to 1. */
  readonly others: number
  readonly versions: Readonly<Record<"node" | "v8" | "auxstream" | "piscina" | "tinypool", string>>
  readonly quick: boolean
  readonly rows: readonly Row[]
  readonly derived: readonly Derived[]
}

/** The circumstances of a run. */
export function circumstances(quick: boolean): Omit<Report, "rows" | "derived" | "others"> {
  return {
    date: new Date().toISOString(),
    device: listDevices().find(({ id }) => id === "host")?.name ?? "host",
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    threads,
    system: `${platform()} ${release()}`,
    versions: {
      node: process.versions.node,
      v8: process.versions.v8,
      auxstream: versionOf("auxstream"),
      piscina: versionOf("piscina"),
      tinypool: versionOf("tinypool"),
    },
    quick,
  }
}

/** A package's version. Read from disk, because not every package exports its package.json. */
function versionOf(name: string): string {
  const require = createRequire(import.meta.url)
  const folder = require.resolve(name).split(/[\\/]dist[\\/]/)[0]
  const { version } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8")) as { version: string }
  return version
}

/** The report as markdown: a table for each benchmark that was measured, with the ratios of its figures. */
export function toMarkdown(report: Report, benchmarks: readonly Benchmark[]): string {
  const { cpu, cores, versions, date } = report
  const where = `${cores} cores of ${cpu}, Node.js ${versions.node}`
  const peers = `piscina ${versions.piscina}, tinypool ${versions.tinypool}`
  const others = `other processes took ${Math.round(100 * report.others)} % of the machine`
  const head = `Measured on ${where}, ${peers}, ${date.slice(0, 10)} (${others}): medians, and the middle half of all turns.`
  const measured = benchmarks.filter(({ name }) => report.rows.some(({ benchmark }) => benchmark === name))
  return [head, ...measured.map(({ name, title }) => partOf(report, name, title))].join("\n\n")
}

function partOf({ rows, derived }: Report, benchmark: string, title: string): string {
  const measured = rows
    .filter((row) => row.benchmark === benchmark)
    .map(({ name, median, p25, p75, unit }) => `| ${name} | ${show(median)} ${unit} | ${show(p25)} … ${show(p75)} |`)
  const followed = derived
    .filter((figure) => figure.benchmark === benchmark)
    .map(({ name, value, unit }) => `| *${name}* | **${show(value)} ${unit}** | |`)
  const table = ["| | median | middle half |", "|---|---|---|", ...measured, ...followed].join("\n")
  return `**${benchmark}**: ${title}\n\n${table}`
}

/** Three digits, which is already more than their precision. */
export function show(value: number): string {
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))
}
