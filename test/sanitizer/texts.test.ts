import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, test } from "node:test"
import { project, runExample } from "../examples/run.js"

/** A report without the folder of the program, which is another one for each reader. */
function withoutFolders(report: string): string {
  return report.replaceAll(/file:\S*\//g, "").trim()
}

describe("§13 the reports of examples/races.ts", () => {
  const { exitCode, output, errors } = runExample("races")
  const reports = output.trim().split(/\n\n(?=Data race: )/)

  test("are those of docs/sanitizer.md, with their stacks", () => {
    assert.equal(errors, "")
    assert.equal(exitCode, 0)
    const page = readFileSync(join(project, "docs/sanitizer.md"), "utf8")
    const documented = [...page.matchAll(/```text\n([^]*?)```/g)].map(([, report = ""]) => report)
    assert.equal(documented.length, 3)
    assert.deepEqual(reports.map(withoutFolders), documented.map(withoutFolders))
  })

  test("point at lines of the program, not of the library", () => {
    for (const report of reports) {
      const places = [...report.matchAll(/^ +at (?:.*\()?(\S+):\d+:\d+\)?$/gm)].map(([, file]) => file)
      assert.ok(places.length >= 3, report)
      for (const file of places) assert.match(file ?? "", /examples\/races\.js$/)
    }
  })
})
