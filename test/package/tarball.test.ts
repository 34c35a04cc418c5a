import assert from "node:assert/strict"
import { readFileSync, rmSync } from "node:fs"
import { join, posix } from "node:path"
import { after, before, describe, test } from "node:test"
import { node, npm, pack, project, temporaryFolder } from "./packing.js"

interface Packed {
  files: { path: string }[]
}

/** The paths of the files that npm would pack. */
function packedPaths(): readonly string[] {
  const printed = npm(project, "pack", "--dry-run", "--ignore-scripts", "--json")
  const [packed] = Object.values(JSON.parse(printed) as Packed[] | Record<string, Packed>)
  return packed?.files.map((file) => file.path) ?? []
}

/** The files that a page links to, relative to the page. */
function linksOf(page: string): readonly string[] {
  const text = page.replaceAll(/^```.*?^```|`[^`\n]*`/gms, "")
  return [...text.matchAll(/\]\(([^)#]+)[^)]*\)/g)]
    .map(([, link = ""]) => link)
    .filter((link) => !link.startsWith("http"))
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

  test("contains what users need, and nothing else", () => {
    const paths = packedPaths()
    const beside = paths.filter((path) => !/^(dist|docs|examples|bench\/results)\//.test(path))
    const pages = ["CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "package.json"]
    assert.deepEqual(beside.sort(), pages)
    const strange = paths.filter(
      (path) =>
        path.startsWith("dist/") &&
        !/^dist\/[a-zA-Z0-9/-]+(\.generated\.d\.ts|\.d\.ts|\.js)$|^dist\/cli\/moe\/kernels\.cu$/.test(path),
    )
    assert.deepEqual(strange, [])
    for (const path of paths.filter((path) => path.endsWith(".js"))) {
      assert.doesNotMatch(readFileSync(join(project, path), "utf8"), /sourceMappingURL/, path)
    }
  })

  test("contains every page and file that its pages link to", () => {
    const paths = packedPaths()
    const isPacked = (target: string) => paths.some((path) => path === target || path.startsWith(`${target}/`))
    const broken = paths
      .filter((path) => path.endsWith(".md"))
      .flatMap((path) => linksOf(readFileSync(join(project, path), "utf8")).map((link) => [path, link] as const))
      .filter(([path, link]) => !isPacked(posix.join(posix.dirname(path), link)))
    assert.deepEqual(broken, [])
  })

  test("runs no script at installation", () => {
    const { scripts } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as { scripts: object }
    const atInstall = ["preinstall", "install", "postinstall", "prepare"].filter((name) => name in scripts)
    assert.deepEqual(atInstall, [])
  })

  test("is built again whenever it is packed", () => {
    const { scripts } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as {
      scripts: { prepack: string }
    }
    assert.equal(scripts.prepack, "node scripts/build.mjs")
  })

  test("passes publint", () => {
    node(project, "node_modules/publint/src/cli.js", tarball, "--strict")
  })

  test("has types for every module resolution", () => {
    node(project, "node_modules/@arethetypeswrong/cli/dist/index.js", tarball, "--profile", "esm-only", "--no-color")
  })
})
