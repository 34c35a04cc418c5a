import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { describe, test } from "node:test"
import { fileURLToPath } from "node:url"

/** Runs a program of the build under the sanitizer, which throws at the first race. */
function run(...args: string[]): string {
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    timeout: 400_000,
    env: { ...environment, AUXSTREAM_SANITIZER: "1", AUXSTREAM_DEVICE: "host", AUXSTREAM_TEST_DEVICE: "host" },
  })
  assert.equal(status, 0, stdout + stderr)
  return stdout
}

const built = (path: string) => fileURLToPath(new URL(`../../${path}.js`, import.meta.url))

/** A part of what `AUXSTREAM_SANITIZER=1` was run over: see CONTRIBUTING.md for the whole. */
describe("§13 the sanitizer reports nothing where there is no race", () => {
  for (const example of ["late-join", "graph"]) {
    test(`examples/${example}.ts`, () => {
      assert.doesNotMatch(run(built(`examples/${example}`)), /Data race/)
    })
  }

  test("suites of the conformance tests, with births, graphs and callers that know nothing of each other", () => {
    const suites = ["births", "graphs-memory", "strangers"]
    const output = run("--test", "--test-reporter=tap", ...suites.map((name) => built(`test/conformance/${name}.test`)))
    assert.match(output, /# fail 0/)
    assert.match(output, /# pass [1-9]/)
  })
})
