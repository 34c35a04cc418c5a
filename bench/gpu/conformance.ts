/** The conformance suite on the GPU, by itself and watched by compute-sanitizer. */

import { readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Ended, runProgram, toolkitProgram } from "./programs.js"
import type { Part, Run } from "./run.js"

const folder = fileURLToPath(new URL("../../test/conformance/", import.meta.url))
/** See test/support/devices.ts. */
const environment = { AUXSTREAM_TEST_DEVICE: "cuda:0" }

/** So many test files at a time: each has a context of its own, and contexts take turns on the GPU. */
const atATime = 4
const secondsPerFile = 120

/** Takes all the memory there is, which the others would miss. */
const needsAll = "out-of-memory.test.js"
/** Go wrong on purpose, which a sanitizer takes for wrong. */
const goWrong = [needsAll, "lost-device.test.js", "broken-streams.test.js"]

interface FileResult {
  readonly file: string
  readonly passed: number
  readonly failed: number
  readonly seconds: number
  readonly timedOut: boolean
  readonly exitCode: number | null
}

/** Runs every suite. Fails when a test does, or when there are none. */
export const conformance: Part = {
  name: "conformance",
  least: 30,
  async run(run) {
    const files = suites(run)
    const programOf = (path: string): Program => [process.execPath, ["--test-reporter=spec", path]]
    const beside = files.filter((file) => file !== needsAll)
    const alone = files.filter((file) => file === needsAll)
    const ended = [...(await runFiles(run, beside, programOf)), ...(await runFiles(run, alone, programOf))]
    run.write("conformance.txt", textOf(ended))
    const results = ended.map(resultOf)
    const total = sum(results, "passed")
    const failing = results.filter(({ failed, exitCode }) => failed > 0 || exitCode !== 0)
    return { passed: total, failed: sum(results, "failed"), failing: failing.map(({ file }) => file), files: results }
  },
}

/** Runs the suites under a tool of compute-sanitizer, as many as there is time for. */
const sanitized = (tool: "memcheck" | "initcheck", options: readonly string[]): Part => ({
  name: tool,
  least: 30,
  async run(run) {
    const until = performance.now() + 1000 * Math.min(100, run.secondsLeft - 10)
    const watchable = suites(run).filter((file) => !goWrong.includes(file))
    const command = ["--tool", tool, ...options, "--target-processes", "all", "--print-limit", "20", process.execPath]
    const ended = await runFiles(
      run,
      watchable,
      (path) => [toolkitProgram("compute-sanitizer"), [...command, "--test-reporter=spec", path]],
      until,
    )
    run.write(`${tool}.txt`, textOf(ended))
    const results = ended.map((file) => ({ ...resultOf(file), ...sanitizerSummary(file.ended.output) }))
    const watched = results.filter(({ errors }) => errors !== null)
    if (watched.length === 0) throw new Error(`no suite was watched: ${ended[0]?.ended.output.slice(0, 400)}`)
    return {
      suites: watched.length,
      of: watchable.length,
      leftOut: goWrong,
      errors: watched.reduce((total, { errors }) => total + (errors ?? 0), 0),
      leakedBytes: watched.reduce((total, { leakedBytes }) => total + (leakedBytes ?? 0), 0),
      passed: sum(watched, "passed"),
      failed: sum(watched, "failed"),
      files: results,
    }
  },
})

// A call that is refused is told to whoever made it, and some are made to be: how many parameters a kernel has is found
// by asking for one too many. What is left at a process's end is its pinned memory that is still reachable; what devices
// leave behind is counted by the part `memory`.
export const memcheck = sanitized("memcheck", ["--report-api-errors", "no"])
export const initcheck = sanitized("initcheck", [])

function suites({ settings }: Run): string[] {
  const files = readdirSync(folder, { encoding: "utf8", recursive: true }).filter((name) => name.endsWith(".test.js"))
  if (files.length === 0) throw new Error(`there are no suites in ${folder}`)
  return settings.quick ? files.filter((name) => /^(views|copies)\./.test(name)) : files
}

type Program = [command: string, args: string[]]

interface EndedFile {
  readonly file: string
  readonly ended: Ended
}

/** Runs a program for each file, several at a time. None begins when it would not end in time. */
async function runFiles(
  run: Run,
  files: readonly string[],
  programOf: (path: string) => Program,
  until = Infinity,
): Promise<EndedFile[]> {
  const waiting = [...files]
  const done: EndedFile[] = []
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const left = Math.min(secondsPerFile, run.secondsLeft - 5, (until - performance.now()) / 1000)
      if (left < 5) return
      const [command, args] = programOf(join(folder, file))
      done.push({ file, ended: await runProgram(command, args, { seconds: left, environment }) })
    }
  }
  await Promise.all(Array.from({ length: atATime }, work))
  return done.toSorted((a, b) => a.file.localeCompare(b.file))
}

function resultOf({ file, ended }: EndedFile): FileResult {
  return {
    file: file.replace(".test.js", ""),
    passed: countOf("pass", ended.output),
    failed: countOf("fail", ended.output),
    seconds: Math.round(ended.seconds * 10) / 10,
    timedOut: ended.timedOut,
    exitCode: ended.status ?? null,
  }
}

function countOf(what: "pass" | "fail", output: string): number {
  return Number(new RegExp(`^ℹ ${what} (\\d+)$`, "m").exec(output)?.[1] ?? 0)
}

/** What stands at the end of the sanitizer's report; null if it does not. */
function sanitizerSummary(output: string): { errors: number | null; leakedBytes: number | null } {
  const errors = /ERROR SUMMARY: (\d+) error/.exec(output)?.[1]
  const leaked = /LEAK SUMMARY: (\d+) bytes leaked/.exec(output)?.[1]
  return {
    errors: errors === undefined ? null : Number(errors),
    leakedBytes: leaked === undefined ? null : Number(leaked),
  }
}

const textOf = (files: readonly EndedFile[]) =>
  files.map(({ file, ended }) => `# ${file}${ended.timedOut ? ", stopped" : ""}\n${ended.output}`).join("\n")

function sum(results: readonly FileResult[], what: "passed" | "failed"): number {
  return results.reduce((total, result) => total + result[what], 0)
}
