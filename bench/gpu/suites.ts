/** Lists and runs the conformance suites for the GPU, and collects their output. */

import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Ended, runProgram } from "./programs.js"
import type { Run } from "./run.js"

/** Folders of suites that run on the GPU: of everything but matrix products, of those, and of what needs a GPU. */
export type SuiteFolder = "conformance" | "blas" | "gpu"

const pathOf = (folder: SuiteFolder) => fileURLToPath(new URL(`../../test/${folder}/`, import.meta.url))

/** Suites that allocate all memory, so each must run alone. */
export const needAll: ReadonlySet<string> = new Set(["out-of-memory.test.js", "room.test.js"])

/** Suites that do not use the GPU. */
export const notOnGpu: Readonly<Record<string, string>> = {
  "broken-streams.test.js": "is about the host device",
  "lost-device.test.js": "is about the host device",
  "on-the-double.test.js": "runs the others over the driver's double",
  "node-llama-cpp.test.js": "needs that package, which `npm run pack:beside` takes along",
  "node-llama-cpp-second.test.js": "needs that package, too",
}

/** The suites for the GPU, as paths relative to their folder, the slowest first. */
export function suites({ settings }: Run, of: SuiteFolder = "conformance"): string[] {
  const folder = pathOf(of)
  const files = readdirSync(folder, { encoding: "utf8", recursive: true }).filter((name) => name.endsWith(".test.js"))
  if (files.length === 0) throw new Error(`there are no suites in ${folder}`)
  const chosen = files.filter((file) => (settings.quick ? /^(views|copies|order)\./.test(file) : !(file in notOnGpu)))
  // Random programs are many, whatever the size of their text.
  const length = (file: string) => (file.includes("random") ? Infinity : statSync(join(folder, file)).size)
  return chosen.toSorted((a, b) => length(b) - length(a))
}

/** A program that runs a suite. */
export interface SuiteRun {
  readonly file: string
  readonly command: string
  /** The arguments before the suite's path. */
  readonly args: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** Its folder; `conformance` by default. */
  readonly folder?: SuiteFolder
}

/** The outcome of a suite. */
export interface EndedSuite {
  readonly run: SuiteRun
  /** Undefined if there was no time to start it. */
  readonly ended: Ended | undefined
}

/** The limits of concurrency and time. */
export interface Limits {
  /** Each process has its own context, and the GPU time-slices contexts. */
  readonly atATime: number
  readonly secondsEach: number
  readonly secondsForAll: number
}

/** Runs programs in order, several at a time. A program that could not finish in the time left is not started. */
export async function runSuites(runs: readonly SuiteRun[], limits: Limits): Promise<EndedSuite[]> {
  const end = performance.now() + limits.secondsForAll * 1000
  const waiting = [...runs]
  const done: EndedSuite[] = []
  const work = async () => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      const seconds = Math.min(limits.secondsEach, (end - performance.now()) / 1000)
      done.push({ run, ended: seconds < 5 ? undefined : await start(run, seconds) })
    }
  }
  await Promise.all(Array.from({ length: limits.atATime }, work))
  return done.toSorted((a, b) => a.run.file.localeCompare(b.run.file))
}

function start({ file, folder, command, args, environment: own }: SuiteRun, seconds: number): Promise<Ended> {
  // See test/support/devices.ts.
  const environment = { ...own, AUXSTREAM_TEST_DEVICE: "cuda:0" }
  return runProgram(command, [...args, "--test-reporter=spec", join(pathOf(folder ?? "conformance"), file)], {
    seconds,
    environment,
  })
}

/** The stored result of a suite. */
export interface SuiteResult {
  readonly file: string
  readonly passed: number
  readonly failed: number
  readonly seconds: number
  readonly timedOut: boolean
  readonly exitCode: number | null
}

export function resultOf({ run, ended }: EndedSuite): SuiteResult {
  return {
    file: run.file.replace(".test.js", ""),
    passed: countOf("pass", ended),
    failed: countOf("fail", ended),
    seconds: Math.round((ended?.seconds ?? 0) * 10) / 10,
    timedOut: ended?.timedOut ?? true,
    exitCode: ended?.status ?? null,
  }
}

function countOf(what: "pass" | "fail", ended: Ended | undefined): number {
  return Number(new RegExp(`^ℹ ${what} (\\d+)$`, "m").exec(ended?.output ?? "")?.[1] ?? 0)
}

/** The output of all suites. */
export const textOf = (suites: readonly EndedSuite[]): string =>
  suites
    .map(({ run, ended }) => {
      const how = ended === undefined ? ", not begun" : ended.timedOut ? ", stopped" : ""
      return `# ${run.file}${how}\n${ended?.output ?? ""}`
    })
    .join("\n")

export const sum = (results: readonly SuiteResult[], what: "passed" | "failed"): number =>
  results.reduce((total, result) => total + result[what], 0)
