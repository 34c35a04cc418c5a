/**
 * Runs tests under the race sanitizer, which throws at the first race: the conformance suites on every device and on CUDA's
 * double, with their random programs; fork-joins; products; the runtime; streams that another library captures; and all
 * examples with the main job. No race may be reported. `npm run test:sanitizer -- test/blas` runs only these tests.
 */

import { say } from "./lib/project.mjs"
import { setUp } from "./lib/setup.mjs"
import { runTests } from "./lib/tests.mjs"

const suites = [
  ...["test/conformance", "test/parallel", "test/overlap", "test/blas", "test/runtime"],
  ...["test/cuda/foreign-captures", "test/examples"],
]

setUp()
const prefixes = process.argv.slice(2)
process.env.AUXSTREAM_SANITIZER = "1"
say("Testing under the sanitizer: no race may be reported")
process.exitCode = runTests(prefixes.length === 0 ? suites : prefixes)
