/**
 * Runs every GPU test and benchmark in one command:
 *
 *   npm run bench:gpu [-- --out DIR --only PART,PART --rounds N --minutes M --quick]
 *
 * A part that fails is recorded with its reason, and the next part runs. The results are written after each part, so that an
 * interrupted run keeps them.
 */

import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { calls } from "./calls.js"
import { conformance, gpuTests, products } from "./conformance.js"
import { decisions } from "./decisions.js"
import { host } from "./host.js"
import { machine } from "./machine.js"
import { mainJob } from "./main-job.js"
import { memory } from "./memory.js"
import { pieces } from "./pieces.js"
import { policies } from "./policies.js"
import { productCalls } from "./product-calls.js"
import { type Part, type Report, Run, type Settings } from "./run.js"
import { sanitizers } from "./sanitizers.js"
import { toMarkdown } from "./summary.js"
import { experts, expertsByCublas, lora, norms } from "./workloads.js"

/** The parts, most important first, because the last ones are skipped when time runs out. */
const parts: readonly Part[] = [
  machine,
  conformance,
  products,
  gpuTests,
  calls,
  productCalls,
  experts,
  norms,
  lora,
  pieces,
  decisions,
  policies,
  mainJob,
  memory,
  host,
  expertsByCublas,
  sanitizers,
]

/** A user error, in one sentence. */
class UsageError extends Error {}

function readOptions(): Settings & { readonly chosen: readonly Part[] } {
  const { values } = parse()
  const number = (name: string, text: string, least: number) => {
    const value = Number(text)
    if (value >= least) return value
    throw new UsageError(`--${name} must be a number of at least ${least}; got ${JSON.stringify(text)}.`)
  }
  return {
    out: values.out,
    quick: values.quick,
    rounds: values.quick ? 2 : Math.floor(number("rounds", values.rounds, 1)),
    minutes: number("minutes", values.minutes, 0.1),
    chosen: choose(values.only),
  }
}

function parse() {
  try {
    return parseArgs({
      options: {
        out: { type: "string", default: fileURLToPath(new URL("../../../bench/results/", import.meta.url)) },
        only: { type: "string" },
        rounds: { type: "string", default: "9" },
        minutes: { type: "string", default: "8.5" },
        quick: { type: "boolean", default: false },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error))
  }
}

function choose(only: string | undefined): readonly Part[] {
  if (only === undefined) return parts
  const names = only.split(",")
  const unknown = names.find((name) => !parts.some((part) => part.name === name))
  if (unknown === undefined) return parts.filter(({ name }) => name === "machine" || names.includes(name))
  throw new UsageError(`--only must name parts: ${parts.map(({ name }) => name).join(", ")}; got "${unknown}".`)
}

function write(run: Run, chosen: readonly Part[]): string {
  const report = run.report()
  const name = chosen.length === parts.length && !report.quick ? nameOf(report) : `${nameOf(report)}-partial`
  const text = toMarkdown(report)
  run.write(`${name}.json`, `${JSON.stringify(report, undefined, 1)}\n`)
  run.write(`${name}.md`, `${text}\n`)
  return text
}

/** One name for a kind of GPU, so that a newer run replaces the older one: `cuda-h200`. */
function nameOf({ machine }: Report): string {
  const gpu = machine["gpu"] as Record<string, string | null> | undefined
  const kind = /^(?:NVIDIA )?(.*?)(?: \d+GB.*)?$/.exec(gpu?.["name"] ?? "unknown")?.[1] ?? "unknown"
  return `cuda-${kind.toLowerCase().replaceAll(" ", "-")}`
}

async function main(): Promise<void> {
  const { chosen, ...settings } = readOptions()
  const run = new Run(settings)
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void run.close().finally(() => process.exit(1)))
  }
  try {
    for (const part of chosen) {
      await run.do(part)
      write(run, chosen)
    }
    console.log(write(run, chosen))
  } finally {
    await run.close()
  }
}

try {
  await main()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
