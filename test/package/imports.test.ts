import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { builtinModules } from "node:module"
import { join, posix } from "node:path"
import { describe, test } from "node:test"
import { project } from "./packing.js"

/**
 * The rooms that each room may import, besides itself and `common`. A room is a folder of src down to the second level, or a
 * file. Imports run one way: parallel -> runtime -> driver <- cuda, host, which share the allocator.
 */
const rooms: Record<string, readonly string[]> = {
  common: [],
  "common/dtype": [],
  "common/struct": [],
  "common/facts": [],
  "common/results": [],
  driver: [],
  allocator: ["driver"],

  "runtime/clock": [],
  "runtime/order": ["runtime/clock", "driver"],
  "runtime/memory": ["runtime/order", "runtime/clock", "driver"],
  "runtime/capture": ["runtime/memory", "runtime/order", "driver"],
  "runtime/load": ["runtime/capture", "runtime/memory", "runtime/order", "driver"],
  "runtime/device": ["runtime/load", "runtime/capture", "runtime/memory", "runtime/order", "driver"],
  "runtime/kernel": ["runtime/device", "runtime/capture", "runtime/memory", "runtime/order", "driver"],
  "runtime/graph": [
    ...["runtime/kernel", "runtime/device", "runtime/capture", "runtime/memory", "runtime/order", "runtime/clock"],
    "driver",
  ],
  runtime: ["runtime/device", "runtime/graph", "runtime/kernel", "driver"],

  "host/control": ["allocator"],
  "host/kernel": ["host/control", "allocator", "driver"],
  "host/schedule": ["host/control"],
  "host/queue": ["host/threads", "host/schedule", "host/kernel", "host/control", "driver"],
  "host/completion": ["host/queue", "host/control", "driver"],
  "host/memory": ["host/completion", "host/queue", "host/control", "allocator", "driver"],
  "host/graph": ["host/threads", "host/queue", "host/schedule", "host/control", "driver"],
  "host/checked-kernel": ["host/kernel", "host/control"],
  "host/checks": [
    ...["host/checked-kernel", "host/graph", "host/memory", "host/queue", "host/kernel", "host/control", "allocator"],
    "driver",
  ],
  "host/timeline": [...["host/threads", "host/graph", "host/queue", "host/control"], "driver"],
  "host/interpreter": ["host/checked-kernel", "host/schedule", "host/kernel", "host/control"],
  "host/threads": [
    ...["host/checked-kernel", "host/interpreter", "host/schedule", "host/kernel", "host/control"],
    "driver",
  ],
  host: [
    ...[
      "host/checks",
      "host/timeline",
      "host/threads",
      "host/graph",
      "host/memory",
      "host/completion",
      "host/queue",
      "host/schedule",
      "host/kernel",
    ],
    ...["host/control", "driver"],
  ],

  "cuda/native": ["koffi"],
  "cuda/ledger": ["cuda/native"],
  "cuda/api": ["cuda/ledger", "cuda/native", "driver"],
  "cuda/stream": ["cuda/api", "cuda/ledger", "cuda/native", "driver"],
  "cuda/sharing": ["cuda/stream", "cuda/api", "cuda/ledger", "driver"],
  "cuda/cupti": ["cuda/toolkit", "cuda/sharing", "cuda/api", "cuda/ledger", "cuda/native", "driver"],
  "cuda/toolkit": ["cuda/sharing", "cuda/api", "cuda/native", "driver"],
  "cuda/products": ["cuda/toolkit", "cuda/sharing", "cuda/stream", "cuda/api", "cuda/native", "driver", "common"],
  "cuda/image": [],
  "cuda/kernel": ["cuda/image", "cuda/toolkit", "cuda/sharing", "cuda/api", "cuda/native", "driver"],
  "cuda/memory": ["cuda/kernel", "cuda/stream", "cuda/api", "cuda/native", "allocator", "driver"],
  "cuda/graph": ["cuda/kernel", "cuda/sharing", "cuda/stream", "cuda/api", "cuda/native", "driver"],
  "cuda/timeline": ["cuda/stream", "cuda/api", "driver"],
  cuda: [
    ...[
      "cuda/cupti",
      "cuda/timeline",
      "cuda/graph",
      "cuda/memory",
      "cuda/kernel",
      "cuda/products",
      "cuda/toolkit",
      "cuda/sharing",
      "cuda/stream",
      "cuda/api",
    ],
    ...["cuda/ledger", "cuda/native", "driver"],
  ],

  "overlap/file": ["runtime/order", "driver"],
  "overlap/measurement": ["runtime/order"],
  "overlap/sampling": ["overlap/measurement", "runtime/order", "driver"],
  overlap: [
    ...["overlap/file", "overlap/measurement", "overlap/sampling"],
    ...["runtime/device", "runtime/order", "driver"],
  ],
  parallel: ["runtime", "runtime/device", "runtime/order", "driver"],
  placement: ["runtime/device", "runtime/capture", "runtime/memory", "runtime/order", "driver"],
  blas: ["runtime/kernel", "runtime/device", "runtime/capture", "runtime/order", "driver"],
  "trace/data": [],
  "trace/analysis": ["trace/data"],
  "trace/layout": ["trace/data"],
  "trace/page": ["trace/layout", "trace/data"],
  "trace/write": ["trace/layout", "trace/data"],
  "trace/record": [...["trace/analysis", "trace/data", "runtime/device", "runtime/order", "driver"]],
  trace: [
    ...["trace/record", "trace/write", "trace/analysis", "trace/layout", "trace/data"],
    ...["parallel", "runtime", "runtime/graph", "runtime/device", "runtime/order", "runtime/clock", "driver"],
  ],
  "sanitizer/access": ["runtime/memory", "runtime/order", "driver"],
  "sanitizer/source": [],
  "sanitizer/history": ["sanitizer/source", "runtime/memory", "runtime/order", "runtime/clock"],
  "sanitizer/report": ["sanitizer/history", "sanitizer/source", "runtime/device", "runtime/order"],
  sanitizer: [
    ...[
      "sanitizer/report",
      "sanitizer/history",
      "sanitizer/source",
      "sanitizer/access",
      "runtime",
      "runtime/memory",
      "runtime/order",
      "runtime/clock",
    ],
    "driver",
  ],
  cli: ["index.ts", "blas", "trace"],
  "backends.ts": ["runtime", "host", "cuda"],
  "index.ts": [
    ...["parallel", "runtime", "runtime/graph", "runtime/kernel", "runtime/device", "runtime/load", "runtime/order"],
    ...["placement", "overlap", "overlap/file", "trace", "trace/data", "driver", "backends.ts"],
    ...["sanitizer", "sanitizer/report", "sanitizer/access"],
  ],
}

/** The rooms that a room may import; undefined if there is no such room. */
function allowedIn(room: string): readonly string[] | undefined {
  if (room === "common") return []
  if (room === "common/dtype" || room === "common/facts" || room === "common/results") return ["common"]
  if (room === "common/struct") return ["common", "common/dtype"]
  return rooms[room]?.concat("common", "common/dtype", "common/struct", "common/facts", "common/results")
}

const specifiers = /(?:\bfrom |^import |\bimport\(|\brequire\()"([^"\n]+)"/gm

/** The imports of a file of src, static, dynamic or as types: paths from src, or names of packages. */
function importsOf(path: string): string[] {
  const text = readFileSync(join(project, "src", path), "utf8").replaceAll(/^\s*(?:\*|\/\/|\/\*).*$/gm, "")
  return [...text.matchAll(specifiers)].map(([, specifier = ""]) =>
    specifier.startsWith(".")
      ? posix.join(posix.dirname(path), specifier).replace(/\.js$/, ".ts")
      : specifier.replace(/^node:/, ""),
  )
}

/** The room of a file of src, or the name of a package. */
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
      const allowed = allowedIn(room)
      assert.ok(allowed !== undefined, `${path} is in no room of the house`)
      return importsOf(path)
        .filter((target) => !builtinModules.includes(target))
        .filter((target) => roomOf(target) !== room && !allowed.includes(roomOf(target)))
        .map((target) => `${path} imports ${target}`)
    })
    assert.deepEqual(against, [])
  })

  test("run one way: no room depends on a room that depends on it", () => {
    const isBuiltOn = (room: string, other: string, seen = new Set<string>()): boolean => {
      const below = (allowedIn(room) ?? []).filter((next) => !seen.has(next))
      for (const next of below) seen.add(next)
      return below.some((next) => next === other || isBuiltOn(next, other, seen))
    }
    assert.deepEqual(
      Object.keys(rooms).filter((room) => isBuiltOn(room, room)),
      [],
    )
  })

  test("are found by this test in every form", () => {
    assert.ok(importsOf("driver/modules.ts").includes("common/dtype/dtype.ts"), "types")
    assert.ok(importsOf("backends.ts").includes("host/backend.ts"), "values")
    assert.ok(importsOf("index.ts").includes("backends.ts"), "for its effects")
  })
})
