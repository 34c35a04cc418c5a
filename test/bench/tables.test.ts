import assert from "node:assert/strict"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, test } from "node:test"
import { upToDate } from "../../bench/tables.js"
import { project } from "../examples/run.js"

describe("figures come from bench/results", () => {
  const files = upToDate()

  for (const [path, content] of files) {
    test(`${path} is what npm run tables writes`, () => {
      const file = join(project, path)
      assert.ok(existsSync(file), `${path} is missing: run npm run tables`)
      assert.equal(readFileSync(file, "utf8"), content, "run npm run tables")
    })
  }

  test("README.md and the pages about costs have generated tables", () => {
    const begin = /<!-- table: .+? -->/g
    const counts = ["README.md", "docs/host-device.md", "docs/servers.md", "docs/when-overlap-pays.md"].map(
      (path) => (files.get(path)?.match(begin) ?? []).length,
    )
    assert.deepEqual(counts, [4, 1, 1, 7])
  })

  test("every table that begins has an end", () => {
    for (const [path, content] of files) {
      const marks = content.match(/<!-- (?:table: .+?|end of table) -->/g) ?? []
      marks.forEach((mark, index) => assert.equal(mark.startsWith("<!-- end"), index % 2 === 1, `${path}: ${mark}`))
    }
  })
})
