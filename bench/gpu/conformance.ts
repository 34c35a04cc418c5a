/** The tests on the GPU. */

import type { Part, Run } from "./run.js"
import {
  needAll,
  notOnGpu,
  resultOf,
  runSuites,
  suites,
  sum,
  type SuiteFolder,
  type SuiteRun,
  textOf,
} from "./suites.js"

const limits = { atATime: 4, secondsEach: 120 } as const

export const conformance = partOf("conformance", "conformance")
/** Products by cuBLAS; each element is compared with float64. */
export const products = partOf("products", "blas")

/** Kernels in every form, a fault, another library in the process, two devices where there are two. */
export const gpuTests = partOf("gpu-tests", "gpu")

/** Runs every suite of a folder. Fails if a test fails or if there are none. */
function partOf(name: string, folder: SuiteFolder): Part {
  return { name, least: 30, run: (run) => runFolder(run, name, folder) }
}

async function runFolder(run: Run, name: string, folder: SuiteFolder) {
  const files = suites(run, folder)
  const runAll = (chosen: readonly string[]) => {
    const runs = chosen.map((file): SuiteRun => ({ file, folder, command: process.execPath, args: [] }))
    return runSuites(runs, { ...limits, secondsForAll: run.secondsLeft - 5 })
  }
  const ended = await runAll(files.filter((file) => !needAll.has(file)))
  ended.push(...(await runAll(files.filter((file) => needAll.has(file)))))
  run.write(`${name}.txt`, textOf(ended))
  const results = ended.map(resultOf)
  const failing = results.filter(({ failed, exitCode }) => failed > 0 || exitCode !== 0)
  return {
    passed: sum(results, "passed"),
    failed: sum(results, "failed"),
    failing: failing.map(({ file }) => file),
    leftOut: notOnGpu,
    files: results,
  }
}
