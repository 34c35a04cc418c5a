import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { fileURLToPath } from "node:url"
import { transformSync } from "esbuild"
import { codeOf, isProgram, nameOf, withImports } from "./pages.js"
import { project } from "./run.js"
import type { SnippetResult } from "./snippets.program.js"

/** The blocks of all pages that are not one program each: those run in guide.test.ts. */
const blocks = ["README.md", ...["docs", "docs/api"].flatMap(pagesIn)]
  .filter((path) => !isProgram(path))
  .flatMap((path) =>
    codeOf(path, readFileSync(join(project, path), "utf8")).map(({ code }, index) => {
      return { path, index, name: `${nameOf(path)}-${index}`, code: withImports(code) }
    }),
  )

/** Blocks that show an error, by their names. */
const refused = new Map([
  ["docs-access-checks-md-0", "AUX_ACCESS_VIOLATION"],
  // It needs a GPU, which the test hides.
  ["docs-cuda-md-0", "AUX_DEVICE_UNAVAILABLE"],
])

function pagesIn(folder: string): string[] {
  const names = readdirSync(join(project, folder)).filter((name) => name.endsWith(".md"))
  return names.map((name) => `${folder}/${name}`)
}

describe("the blocks of the pages", () => {
  // Below the project, so that "auxstream" is resolved as for users.
  const outputs = fileURLToPath(new URL("../..", import.meta.url))
  let folder = ""
  let results: SnippetResult[] = []

  before(() => {
    mkdirSync(outputs, { recursive: true })
    folder = mkdtempSync(join(outputs, "snippets-"))
    const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
    for (const { name, code } of blocks) {
      write(`${name}.js`, transformSync(code, { loader: "ts", format: "esm", target: "node20" }).code)
    }
    write("blocks.json", JSON.stringify(blocks.map(({ name }) => name)))
    write("filters.js", "export function blur() {}\nexport function scaleBy4() {}\n")
    write("model.safetensors", "")
    truncateSync(join(folder, "model.safetensors"), 24 * 2 ** 20)
    const program = fileURLToPath(new URL("snippets.program.js", import.meta.url))
    const env = { ...process.env, AUXSTREAM_DEVICE: "host", AUXSTREAM_LIBCUDA: join(folder, "no-driver") }
    const { status, stderr } = spawnSync(process.execPath, [program, folder], {
      env,
      encoding: "utf8",
      timeout: 300_000,
    })
    assert.equal(status, 0, stderr)
    results = JSON.parse(readFileSync(join(folder, "results.json"), "utf8")) as SnippetResult[]
  })
  after(() => rmSync(folder, { recursive: true }))

  test("are found on many pages", () => {
    assert.ok(new Set(blocks.map(({ path }) => path)).size > 12)
    for (const name of refused.keys())
      assert.ok(
        blocks.some((block) => block.name === name),
        name,
      )
  })

  for (const { path, index, name } of blocks) {
    test(`run: block ${index + 1} of ${path}`, () => {
      const { code, message } = results.find((result) => result.name === name) ?? {
        code: "it did not run",
        message: "",
      }
      assert.equal(code, refused.get(name), message)
    })
  }

  test("of the README print what its comments say", () => {
    const printing = blocks.filter(({ path, code }) => path === "README.md" && code.includes("console.log("))
    assert.ok(printing.length >= 2)
    for (const { name, code } of printing) {
      const expected = [...code.matchAll(/^ *console\.log\(.*\) \/\/ (.*)$/gm)].map(([, line]) => line)
      assert.deepEqual(results.find((result) => result.name === name)?.printed, expected)
    }
  })
})
