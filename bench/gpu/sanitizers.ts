/** Runs the conformance suites under compute-sanitizer. */

import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { compileProgram } from "./peers.js"
import { type Ended, runProgram, toolkitProgram } from "./programs.js"
import type { Part, Run } from "./run.js"
import {
  type EndedSuite,
  needAll,
  notOnGpu,
  resultOf,
  runSuites,
  suites,
  sum,
  type SuiteRun,
  textOf,
} from "./suites.js"

/** The sanitizer's tools, with their options. */
const tools = {
  // Without reports of refused calls, because the library expects some: it counts a kernel's parameters by asking for one too
  // many. Without a leak check, because a process ends with reachable pinned memory; the part `memory` checks for leaks.
  memcheck: ["--report-api-errors", "no"],
  initcheck: [],
} as const
type Tool = keyof typeof tools
export const toolNames = Object.keys(tools) as Tool[]

const shortLatches = fileURLToPath(new URL("short-latches.js", import.meta.url))

/** The time limits of this part. The suites of both tools run concurrently. */
const limits = { atATime: Math.max(2, availableParallelism() - 4), secondsEach: 150, secondsForAll: 240 } as const

/**
 * Suites that must run alone under a tool. While other processes' contexts alternate with its own, a graph with a
 * conditional makes an illegal access under either tool, in C++ as well: see the second of the {@link controls}.
 */
const byItself = new Set(["graphs-conditionals.test.js", "random-conditionals.test.js"])

/**
 * Under initcheck, parallel branches with loops made an illegal access even alone, in half of the runs (H100, driver 580).
 * Memcheck reports nothing for them, and the results are exact.
 */
const notUnderInitcheck = "random-conditionals.test.js"

/** Correct programs without our library, to compare the tools' reports with: name and file. */
const controls = { control: "graph-copies.cu", conditionalControl: "graph-conditional.cu" } as const

const leftOut = {
  ...notOnGpu,
  ...Object.fromEntries(
    [...needAll].map((file) => [file, "takes all the memory there is, which the suites beside it would miss"]),
  ),
  [notUnderInitcheck]: "is watched by memcheck only: initcheck brings faults into graphs with conditionals",
}

export const sanitizers: Part = {
  name: "sanitizers",
  least: 60,
  async run(run) {
    const watchable = suites(run).filter((file) => !needAll.has(file))
    const toolsOf = (file: string) => toolNames.filter((tool) => tool !== "initcheck" || file !== notUnderInitcheck)
    const runsOf = (files: readonly string[]) =>
      files.flatMap((file) => toolsOf(file).map((tool) => suiteRun(tool, file)))
    const end = performance.now() + 1000 * Math.min(limits.secondsForAll, run.secondsLeft - 10)
    const runAll = (files: readonly string[], atATime: number) =>
      runSuites(runsOf(files), { ...limits, atATime, secondsForAll: (end - performance.now()) / 1000 })
    const apart = await runAll(
      watchable.filter((file) => byItself.has(file)),
      1,
    )
    const beside = await runAll(
      watchable.filter((file) => !byItself.has(file)),
      limits.atATime,
    )
    const ended = [...apart, ...beside]
    const facts = toolNames.map((tool) => {
      const suitesOfTool = ended.filter(({ run: { args } }) => args.includes(tool))
      run.write(`${tool}.txt`, textOf(suitesOfTool))
      return [tool, found(suitesOfTool)] as const
    })
    return { ...Object.fromEntries(facts), ...(await controlled(run)), leftOut }
  },
}

/** The initcheck reports for C++ programs that read no uninitialized memory. */
async function controlled(run: Run): Promise<Record<keyof typeof controls, object>> {
  const { control, conditionalControl } = controls
  return { control: await watchProgram(run, control), conditionalControl: await watchProgram(run, conditionalControl) }
}

async function watchProgram({ scratch }: Run, program: string): Promise<object> {
  const { path, problem } = await compileProgram(scratch, program)
  if (problem !== "") return { unwatched: problem }
  // Not every run has reports.
  const watching = Array.from({ length: limits.atATime }, () =>
    runProgram(toolkitProgram("compute-sanitizer"), ["--tool", "initcheck", path], { seconds: 30 }),
  )
  const ended = await Promise.all(watching)
  const errors = ended.map((run) => watched(run).errors)
  return { program, errors, failed: ended.filter(({ status }) => status !== 0).length }
}

const suiteRun = (tool: Tool, file: string): SuiteRun => ({
  file,
  command: toolkitProgram("compute-sanitizer"),
  // The tools know an array's bounds only if it is an allocation of the driver.
  environment: { AUXSTREAM_CUDA_MEMORY: "driver" },
  args: [
    "--tool",
    tool,
    ...tools[tool],
    "--target-processes",
    "all",
    "--print-limit",
    "20",
    process.execPath,
    "--import",
    shortLatches,
  ],
})

/** A tool's findings. */
function found(suitesOfTool: readonly EndedSuite[]) {
  const results = suitesOfTool.map((suite) => ({ ...resultOf(suite), ...watched(suite.ended) }))
  const complete = results.filter(({ unwatched }) => unwatched === undefined)
  return {
    suites: complete.length,
    of: results.length,
    errors: results.reduce((total, { errors }) => total + errors, 0),
    unwatched: Object.fromEntries(results.flatMap(({ file, unwatched }) => (unwatched ? [[file, unwatched]] : []))),
    passed: sum(results, "passed"),
    failed: sum(results, "failed"),
    files: results,
  }
}

/** The number of errors of a suite, and why it did not finish, if so. */
export function watched(ended: Ended | undefined): { errors: number; unwatched?: string } {
  if (ended === undefined) return { errors: 0, unwatched: "there was no time left" }
  const summary = /ERROR SUMMARY: (\d+) error/.exec(ended.output)?.[1]
  if (summary !== undefined) return { errors: Number(summary) }
  // Without a summary, only the errors printed so far are known.
  const errors = ended.output.match(/^========= (Invalid|Uninitialized|Misaligned|Program hit|Unused)/gm)?.length ?? 0
  if (ended.timedOut) return { errors, unwatched: `was stopped after ${Math.round(ended.seconds)} s` }
  return { errors, unwatched: `the sanitizer gave no summary: ${ended.output.slice(-400)}` }
}
