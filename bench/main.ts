/**
 * Measures the host device: `npm run bench [-- --only NAME,NAME --quick --json]`. A whole run replaces
 * bench/results/host.json. The program prints tables for people, or the same JSON with `--json`.
 */

import { mkdirSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { OtherProcesses } from "../examples/moe/other-processes.js"
import { benchmarks } from "./benchmarks.js"
import type { Benchmark, Derived, Row } from "./harness.js"
import { circumstances, type Report, toMarkdown } from "./report.js"

const results = fileURLToPath(new URL("../../bench/results/", import.meta.url))

/** A user error, in one sentence. */
class UsageError extends Error {}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        only: { type: "string" },
        help: { type: "boolean", default: false },
      },
    })
    return { ...values, chosen: choose(values.only) }
  } catch (error) {
    throw new UsageError(error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error))
  }
}

function usage(): string {
  return [
    "npm run bench -- [--only NAME,NAME] [--quick] [--json]",
    "",
    "Measures the host device. A whole run replaces bench/results/host.json.",
    "  --only   only these benchmarks:",
    ...benchmarks.map(({ name, title }) => `           ${name.padEnd(14)} ${title}`),
    "  --quick  only check that everything runs; the figures mean nothing",
    "  --json   print JSON instead of tables",
  ].join("\n")
}

function choose(only: string | undefined): readonly Benchmark[] {
  if (only === undefined) return benchmarks
  return only.split(",").map((name) => {
    const found = benchmarks.find((benchmark) => benchmark.name === name)
    if (found !== undefined) return found
    const known = benchmarks.map((benchmark) => benchmark.name).join(", ")
    throw new UsageError(`--only must name benchmarks: ${known}; got "${name}".`)
  })
}

async function main(): Promise<void> {
  const { quick, json, only, chosen, help } = readOptions()
  if (help) return console.log(usage())
  const run = circumstances(quick)
  const others = new OtherProcesses()
  const rows: Row[] = []
  const derived: Derived[] = []
  for (const benchmark of chosen) {
    console.error(`${benchmark.name} …`)
    const findings = await benchmark.run({ quick })
    rows.push(...findings.rows)
    derived.push(...findings.derived)
  }
  const report: Report = { ...run, others: others.share(), rows, derived }
  if (!quick && only === undefined) keep(report)
  console.log(json ? JSON.stringify(report, undefined, 2) : toMarkdown(report, chosen))
}

function keep(report: Report): void {
  mkdirSync(results, { recursive: true })
  const path = `${results}host.json`
  writeFileSync(path, `${JSON.stringify(report, undefined, 2)}\n`)
  console.error(`Saved as ${path}`)
}

try {
  await main()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
