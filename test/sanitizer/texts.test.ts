import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, test } from "node:test"
import { project, runExample } from "../examples/run.js"

/** A report without the places in the code, which are other ones for each reader. */
function withoutPlaces(report: string): string {
  return report
    .replaceAll(/\n +at [^\n]*:\d+:\d+\)?(?=\n|$)/g, "")
    .replaceAll(/ at \S+:\d+:\d+(?=, call)/g, "")
    .trim()
}

describe("§13 the reports of examples/races.ts", () => {
  const { exitCode, output, errors } = runExample("races")
  const reports = output.trim().split(/\n\n(?=Data race: )/)

  test("are those of docs/sanitizer.md, stacks aside", () => {
    assert.equal(errors, "")
    assert.equal(exitCode, 0)
    const page = readFileSync(join(project, "docs/sanitizer.md"), "utf8")
    const documented = [...page.matchAll(/```text\n([^]*?)```/g)].map(([, report = ""]) => report)
    assert.equal(documented.length, 3)
    assert.deepEqual(reports.map(withoutPlaces), documented.map(withoutPlaces))
  })

  test("point at lines of the program, not of the library", () => {
    for (const report of reports) {
      const places = [...report.matchAll(/^ +at (?:.*\()?(\S+):\d+:\d+\)?$/gm)].map(([, file]) => file)
      assert.ok(places.length >= 3, report)
      for (const file of places) assert.match(file ?? "", /examples\/races\.js$/)
    }
  })
})
