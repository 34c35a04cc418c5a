import assert from "node:assert/strict"
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { node, npm, pack, project, temporaryFolder } from "./packing.js"

interface Packed {
  files: { path: string }[]
}

describe("the tarball", () => {
  let folder = ""
  let tarball = ""

  before(() => {
    folder = temporaryFolder()
    tarball = pack(folder)
  })
  after(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  test("holds what a user needs, and nothing else", () => {
    const printed = npm(project, "pack", "--dry-run", "--ignore-scripts", "--json")
    const [packed] = Object.values(JSON.parse(printed) as Packed[] | Record<string, Packed>)
    const paths = packed?.files.map((file) => file.path) ?? []
    const beside = paths.filter((path) => !path.startsWith("dist/"))
    assert.deepEqual(beside.sort(), ["CHANGELOG.md", "LICENSE", "README.md", "package.json"])
    const strange = paths.filter(
      (path) => path.startsWith("dist/") && !/^dist\/[a-zA-Z0-9/-]+(\.generated\.d\.ts|\.d\.ts|\.js)$/.test(path),
    )
    assert.deepEqual(strange, [])
    for (const path of paths.filter((path) => path.endsWith(".js"))) {
      assert.doesNotMatch(readFileSync(join(project, path), "utf8"), /sourceMappingURL/, path)
    }
  })

  test("is built anew whenever it is packed", () => {
    const { scripts } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as {
      scripts: { prepack: string }
    }
    assert.equal(scripts.prepack, "node scripts/build.mjs")
  })

  test("passes publint", () => {
    node(project, "node_modules/publint/src/cli.js", tarball, "--strict")
  })

  test("gives every module resolution its types", () => {
    node(project, "node_modules/@arethetypeswrong/cli/dist/index.js", tarball, "--profile", "esm-only", "--no-color")
  })
})
