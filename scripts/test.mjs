/**
 * Runs all checks: lint, format, types (a failing type test fails the build) and tests. `npm test -- test/host` runs only
 * the tests whose paths start with `test/host`, and neither lint nor the format check.
 */

import { node, say, tools } from "./lib/project.mjs"
import { setUp } from "./lib/setup.mjs"
import { runTests } from "./lib/tests.mjs"

setUp()
const prefixes = process.argv.slice(2)
const checks = [
  ["Linting", () => node(tools.oxlint)],
  ["Checking the format", () => node(tools.oxfmt, ["--check"])],
  ["Testing", () => runTests(prefixes)],
]
const failed = checks.filter(([name, check]) => {
  if (name !== "Testing" && prefixes.length > 0) return false
  say(name === "Testing" && prefixes.length === 0 ? "Testing, which takes about ten minutes on two cores" : name)
  return check() !== 0
})
if (failed.length > 0) {
  console.error(`Failed: ${failed.map(([name]) => name.toLowerCase()).join(", ")}.`)
  process.exitCode = 1
}
