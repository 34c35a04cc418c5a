import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { builtinModules } from "node:module"
import { join, posix } from "node:path"
import { describe, test } from "node:test"
import { project } from "./packing.js"

/**
 * What the files of each folder (or a single file) of src may import beside their own folder. Imports run one way:
 * parallel -> runtime -> driver <- cuda, host, which share what hands out memory.
 */
const mayImport: Record<string, readonly string[]> = {
  common: [],
  "driver.ts": ["common"],
  runtime: ["driver.ts", "common"],
  parallel: ["runtime", "driver.ts", "common"],
  trace: ["runtime", "parallel", "driver.ts", "common"],
  allocator: ["driver.ts", "common"],
  host: ["driver.ts", "allocator", "common"],
  cuda: ["driver.ts", "allocator", "koffi", "common"],
  blas: ["runtime", "driver.ts", "host", "cuda", "common"],
  "backends.ts": ["runtime", "driver.ts", "host", "cuda"],
  "index.ts": ["runtime", "parallel", "trace", "driver.ts", "common", "backends.ts"],
  cli: ["index.ts", "runtime", "parallel", "trace", "blas", "common"],
}

const specifiers = /(?:\bfrom |^import |\bimport\(|\brequire\()"([^"\n]+)"/gm

/** What a file of src imports, statically, dynamically or as a type: paths from src, or names of packages. */
function importsOf(path: string): string[] {
  const text = readFileSync(join(project, "src", path), "utf8").replaceAll(/^\s*(?:\*|\/\/|\/\*).*$/gm, "")
  return [...text.matchAll(specifiers)].map(([, specifier = ""]) =>
    specifier.startsWith(".")
      ? posix.join(posix.dirname(path), specifier).replace(/\.js$/, ".ts")
      : specifier.replace(/^node:/, ""),
  )
}

const roomOf = (path: string): string => path.split("/", 1)[0] ?? path

describe("imports", () => {
  const sources = readdirSync(join(project, "src"), { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".ts") && !path.includes("/assembly/"))

  test("run one way through the house", () => {
    const against = sources.flatMap((path) => {
      const room = roomOf(path)
      const allowed = mayImport[room]
      assert.ok(allowed !== undefined, `${path} is in no room of the house`)
      return importsOf(path)
        .filter((target) => !builtinModules.includes(target))
        .filter((target) => roomOf(target) !== room && !allowed.includes(target) && !allowed.includes(roomOf(target)))
        .map((target) => `${path} imports ${target}`)
    })
    assert.deepEqual(against, [])
  })

  test("are found by this test in every form", () => {
    assert.ok(importsOf("driver.ts").includes("common/dtype.ts"), "types")
    assert.ok(importsOf("backends.ts").includes("host/backend.ts"), "values")
    assert.ok(importsOf("index.ts").includes("backends.ts"), "for its effects")
  })
})
