import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { fileURLToPath } from "node:url"
import { transformSync } from "esbuild"
import { codeOf, isProgram, nameOf } from "./pages.js"
import { project, runScript } from "./run.js"
import { unsanitized } from "../support/races.js"

const pages = ["docs", "docs/guide"]
  .flatMap((folder) => readdirSync(join(project, folder)).map((name) => `${folder}/${name}`))
  .filter((path) => path.endsWith(".md") && isProgram(path))
  .map((path) => ({ path, files: codeOf(path, readFileSync(join(project, path), "utf8")) }))

describe("the guide", () => {
  // Below the project, so that "auxstream" is resolved as for users.
  const outputs = fileURLToPath(new URL("../..", import.meta.url))
  let folder = ""
  before(() => {
    mkdirSync(outputs, { recursive: true })
    folder = mkdtempSync(join(outputs, "guide-"))
    for (const { path, files } of pages) {
      for (const { file = nameOf(path), code } of files) {
        const options = { loader: "ts", format: "esm", target: "node20" } as const
        writeFileSync(join(folder, `${file}.js`), transformSync(code, options).code)
      }
    }
  })
  after(() => rmSync(folder, { recursive: true }))

  test("has six chapters of at most 120 lines", () => {
    const chapters = pages.filter(({ path, files }) => path.startsWith("docs/guide/") && files.length > 0)
    assert.equal(chapters.length, 6)
    const long = chapters.filter(({ path }) => readFileSync(join(project, path), "utf8").split("\n").length > 121)
    assert.deepEqual(long, [])
  })

  for (const { path, files } of pages.filter(({ files }) => files.length > 0)) {
    // A file does not keep what a policy has decided while the sanitizer slowed down the calls.
    const needs = path === "docs/overlap.md" ? unsanitized : {}
    test(`prints what ${path} says`, needs, () => {
      const code = files.find(({ file }) => file === undefined)?.code ?? ""
      const expected = [...code.matchAll(/^ *console\.log\(.*\) \/\/ (.*)$/gm)].map(([, line]) => line)
      assert.ok(expected.length > 0)
      // Nothing is printed without a comment that says what.
      assert.equal(code.match(/console\.log/g)?.length, expected.length)
      const { exitCode, output, errors } = runScript(join(folder, `${nameOf(path)}.js`))
      assert.equal(errors, "")
      assert.equal(exitCode, 0)
      assert.deepEqual(output.trimEnd().split("\n"), expected)
    })
  }
})
