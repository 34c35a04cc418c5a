/** Runs the built tests. */

import { availableParallelism } from "node:os"
import { normalize } from "node:path/posix"
import { filesBelow, node } from "./project.mjs"

/** More than any test file needs on a slow machine. A file that takes longer hangs, and fails. */
const millisecondsPerFile = 900_000

/**
 * Runs the tests whose source path starts with one of `prefixes` (all tests if there are none) under the Node.js at
 * `execPath`. Returns the exit code.
 *
 * The files are named one by one, because Node.js 20 takes no patterns. Half the cores run test files, because the host
 * device's tests keep several threads busy each, but at least two run at once: many tests mostly wait.
 */
export function runTests(prefixes, execPath = process.execPath) {
  const files = filesBelow("build/test").filter((path) => path.endsWith(".test.js"))
  const starts = prefixes.map((prefix) => `build/${normalize(prefix).replace(/\.ts$/, ".js")}`)
  const chosen = files.filter((path) => starts.length === 0 || starts.some((start) => path.startsWith(start)))
  if (chosen.length === 0) {
    console.error(`No test matches ${prefixes.join(", ")}. Name folders or files as in the sources: test/host`)
    return 1
  }
  const concurrency = Math.max(2, Math.floor(availableParallelism() / 2))
  const options = ["--test-reporter=spec", `--test-concurrency=${concurrency}`, `--test-timeout=${millisecondsPerFile}`]
  return node("--test", [...options, ...chosen], { execPath })
}
