/** The conformance suites on the GPU. */

import type { Part } from "./run.js"
import { needsAll, notOnGpu, resultOf, runSuites, suites, sum, type SuiteRun, textOf } from "./suites.js"

const limits = { atATime: 4, secondsEach: 120 } as const

/** Runs every suite. Fails when a test does, or when there are none. */
export const conformance: Part = {
  name: "conformance",
  least: 30,
  async run(run) {
    const files = suites(run)
    const runAll = (chosen: readonly string[]) => {
      const runs = chosen.map((file): SuiteRun => ({ file, command: process.execPath, args: [] }))
      return runSuites(runs, { ...limits, secondsForAll: run.secondsLeft - 5 })
    }
    const ended = await runAll(files.filter((file) => file !== needsAll))
    ended.push(...(await runAll(files.filter((file) => file === needsAll))))
    run.write("conformance.txt", textOf(ended))
    const results = ended.map(resultOf)
    const failing = results.filter(({ failed, exitCode }) => failed > 0 || exitCode !== 0)
    return {
      passed: sum(results, "passed"),
      failed: sum(results, "failed"),
      failing: failing.map(({ file }) => file),
      leftOut: notOnGpu,
      files: results,
    }
  },
}
