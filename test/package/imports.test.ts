import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { builtinModules } from "node:module"
import { join, posix } from "node:path"
import { describe, test } from "node:test"
import { project } from "./packing.js"

/**
 * What the files of each room may import beside their own: a room is a folder of src down to the second level, or a file.
 * Imports run one way: parallel -> runtime -> driver <- cuda, host, which share what hands out memory.
 */
const mayImport: Record<string, readonly string[]> = {
  common: [],
  "driver.ts": ["common"],
  allocator: ["driver.ts", "common"],

  "runtime/order": ["driver.ts", "common"],
  "runtime/memory": ["runtime/order", "driver.ts", "common"],
  "runtime/capture": ["runtime/memory", "runtime/order", "driver.ts", "common"],
  "runtime/device": ["runtime/capture", "runtime/memory", "runtime/order", "driver.ts", "common"],
  "runtime/kernel": ["runtime/device", "runtime/capture", "runtime/order", "driver.ts", "common"],
  "runtime/graph": ["runtime/device", "runtime/capture", "runtime/memory", "runtime/order", "driver.ts", "common"],
  runtime: ["runtime/device", "runtime/graph", "runtime/kernel", "common"],

  "host/control": ["allocator", "common"],
  "host/kernel": ["host/control", "allocator", "driver.ts", "common"],
  "host/schedule": ["host/control"],
  "host/queue": ["host/kernel", "host/control", "allocator", "driver.ts", "common"],
  "host/graph": ["host/threads", "host/queue", "host/schedule", "host/control", "driver.ts", "common"],
  "host/interpreter": ["host/schedule", "host/kernel", "host/control", "common"],
  "host/threads": ["host/interpreter", "host/schedule", "host/kernel", "host/control", "driver.ts", "common"],
  host: [
    ...["host/threads", "host/graph", "host/queue", "host/schedule", "host/kernel", "host/control"],
    ...["allocator", "driver.ts", "common"],
  ],

  "cuda/api": ["koffi", "driver.ts", "common"],
  "cuda/stream": ["cuda/api", "driver.ts", "common"],
  "cuda/sharing": ["cuda/stream", "cuda/api", "driver.ts", "common"],
  "cuda/toolkit": ["cuda/sharing", "cuda/api", "driver.ts", "common"],
  "cuda/kernel": ["cuda/toolkit", "cuda/sharing", "cuda/api", "driver.ts", "common"],
  "cuda/memory": ["cuda/kernel", "cuda/stream", "cuda/api", "allocator", "driver.ts", "common"],
  "cuda/graph": ["cuda/kernel", "cuda/sharing", "cuda/stream", "cuda/api", "driver.ts", "common"],
  cuda: [
    ...["cuda/graph", "cuda/memory", "cuda/kernel", "cuda/toolkit", "cuda/sharing", "cuda/stream", "cuda/api"],
    ...["driver.ts", "common"],
  ],

  parallel: ["runtime", "runtime/device", "runtime/order", "driver.ts", "common"],
  trace: ["runtime/device", "runtime/order", "parallel", "driver.ts", "common"],
  blas: ["runtime/kernel", "runtime/device", "runtime/capture", "driver.ts", "common"],
  "backends.ts": ["runtime/device", "host", "cuda"],
  "index.ts": [
    ...["parallel", "trace", "runtime", "runtime/graph", "runtime/kernel", "runtime/device", "runtime/order"],
    ...["driver.ts", "common", "backends.ts"],
  ],
  cli: ["index.ts", "runtime/device", "parallel", "trace", "blas", "common"],
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

/** The room of a file of src; the name of a package. */
function roomOf(path: string): string {
  const [first = path, second, third] = path.split("/")
  return third === undefined ? first : `${first}/${second}`
}

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
        .filter((target) => roomOf(target) !== room && !allowed.includes(roomOf(target)))
        .map((target) => `${path} imports ${target}`)
    })
    assert.deepEqual(against, [])
  })

  test("run one way: each room is built on rooms that stand without it", () => {
    const isBuiltOn = (room: string, other: string, seen = new Set<string>()): boolean => {
      const below = (mayImport[room] ?? []).filter((next) => !seen.has(next))
      for (const next of below) seen.add(next)
      return below.some((next) => next === other || isBuiltOn(next, other, seen))
    }
    assert.deepEqual(
      Object.keys(mayImport).filter((room) => isBuiltOn(room, room)),
      [],
    )
  })

  test("are found by this test in every form", () => {
    assert.ok(importsOf("driver.ts").includes("common/dtype.ts"), "types")
    assert.ok(importsOf("backends.ts").includes("host/backend.ts"), "values")
    assert.ok(importsOf("index.ts").includes("backends.ts"), "for its effects")
  })
})
