import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { hashHeaders, type HeaderSearch } from "../../../src/cuda/toolkit/headers.js"
import { summarize } from "../../../src/cuda/toolkit/nvrtc-options.js"

let root = ""
const home = process.cwd()

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "auxstream-headers-"))
  process.chdir(root)
})
afterEach(() => {
  process.chdir(home)
  rmSync(root, { recursive: true })
})

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

function hash(source: string, search: Partial<HeaderSearch> = {}): string | undefined {
  return hashHeaders({ source, folder: ".", headers: new Map(), preIncludes: [], folders: [], toolkit: [], ...search })
}

let changes = 0

/** Whether the hash of the source's headers changes when this file is rewritten. */
function dependsOn(path: string, source: string, search: Partial<HeaderSearch> = {}): boolean {
  const before = hash(source, search)
  assert.notEqual(before, undefined, "the headers are known")
  assert.equal(hash(source, search), before, "the same files have the same hash")
  write(path, `// ${++changes}\n`)
  return hash(source, search) !== before
}

test("a header counts wherever it is found: by an absolute path, in the current folder, in a folder that is searched", () => {
  write("here.h", "")
  write("inc/there.h", "")
  assert.ok(dependsOn("here.h", '#include "here.h"'))
  assert.ok(dependsOn("here.h", `#include "${root}/here.h"`))
  assert.ok(dependsOn("here.h", `#include <${root}/here.h>`))
  for (const folder of ["inc", `${root}/inc`]) {
    assert.ok(dependsOn("inc/there.h", '#include "there.h"', { folders: [folder] }))
    assert.ok(dependsOn("inc/there.h", "#include <there.h>", { folders: [folder] }))
  }
  assert.ok(dependsOn("inc/there.h", "", { folders: ["inc"], preIncludes: ["there.h"] }))
  assert.ok(dependsOn("here.h", "", { preIncludes: ["here.h"] }))
})

test("what a header includes counts, too, found in its own folder first, around a circle as well", () => {
  write("inc/a.h", '#include "deep/b.h"')
  write("inc/deep/b.h", '#include "c.h"\n#include "../a.h"')
  write("inc/deep/c.h", "")
  assert.ok(dependsOn("inc/deep/c.h", "#include <a.h>", { folders: ["inc"] }))
})

test("a header that appears in a place that is searched earlier counts, and one that does not exist yet", () => {
  write("second/value.h", "")
  assert.ok(dependsOn("first/value.h", "#include <value.h>", { folders: ["first", "second"] }))
  assert.ok(dependsOn("later.h", '#if __has_include("later.h")\n#include "later.h"\n#endif'))
})

test("a name without a suffix is looked for with NVRTC's own, too", () => {
  write("inc/array", "")
  assert.ok(dependsOn("inc/array", "#include <array>", { folders: ["inc"] }))
  assert.ok(dependsOn("inc/array.stdh", "#include <array>", { folders: ["inc"] }))
})

test("every way to write an include is seen", () => {
  const ways = [
    '#include"value.h"',
    " \t# \t include\t<value.h> // why",
    '/* first */ #/**/include /* over\nlines */ "value.h"',
    '%:include "value.h"',
    '#include_next "value.h"',
    '#in\\\nclude "val\\\r\nue.h"',
    '#ifdef NEVER\n#include "value.h"\n#endif',
    'const char* s = "/*";\n#include "value.h"\nconst char* e = "*/";',
    "int million = 1'000'000; // don't\n#include \"value.h\"\n/* it's */",
    'const char* raw = R"x(/* " )x";\n#include "value.h"\n// */',
    '#error don\'t /* one\n*/\n#include "value.h"',
    "#if __has_include(<value.h>)\n#endif",
  ]
  for (const way of ways) {
    write("value.h", "")
    assert.ok(dependsOn("value.h", way, { folders: ["."] }), way)
  }
})

test("an include within a comment does not make a source unknown", () => {
  assert.notEqual(hash("/* #include WHICH */ // #include WHICH\n/*\n#include WHICH\n*/"), undefined)
})

test("what only the compiler can know leaves the headers unknown: names from macros, the time, pipes", () => {
  assert.equal(hash('#define WHICH "value.h"\n#include WHICH'), undefined)
  assert.equal(hash("#define HAS(x) __has_include(x)"), undefined)
  assert.equal(hash("const char* when = __TIME__;"), undefined)
  write("value.h", "#include WHICH")
  assert.equal(hash('#include "value.h"'), undefined)
  if (process.platform === "win32") return
  spawnSync("mkfifo", [join(root, "pipe.h")])
  assert.equal(hash('#include "pipe.h"'), undefined)
  symlinkSync("loop.h", join(root, "loop.h"))
  assert.equal(hash('#include "loop.h"'), undefined)
})

test("the toolkit's own headers may make names by macros: what they name otherwise counts", () => {
  const search = { folders: ["toolkit"], toolkit: ["toolkit"] }
  write("toolkit/all.h", "#include WHICH\n#define HAS(x) __has_include(x)\n#include <own.h>")
  assert.ok(dependsOn("own.h", "#include <all.h>", search))
  assert.notEqual(hash("#include <all.h>", search), hash("#include <other.h>", search))
})

test("the folder that a program runs in is no part of the hash", () => {
  write("inc/value.h", "")
  const source = "#include <value.h>"
  const before = hash(source, { folders: [join(root, "inc")] })
  mkdirSync(join(root, "elsewhere"))
  process.chdir("elsewhere")
  assert.equal(hash(source, { folders: [join(root, "inc")] }), before)
})

test("options name folders, files and the architecture in one string or in two", () => {
  for (const options of [
    ["-I/x"],
    ["-I", "/x"],
    ["-I=/x"],
    ["-I /x"],
    [" -I/x "],
    ["--include-path=/x"],
    ["--include-path", "/x"],
  ]) {
    assert.deepEqual(summarize(options).includePaths, ["/x"], String(options))
  }
  for (const options of [["-include", "x.h"], ["-include=x.h"], ["--pre-include=x.h"], ["--pre-include", "x.h"]]) {
    const { preIncludes, includePaths } = summarize(options)
    assert.deepEqual([preIncludes, includePaths], [["x.h"], []], String(options))
  }
  for (const options of [
    ["-arch", "sm_90a"],
    ["-arch=sm_90a"],
    ["--gpu-architecture", "sm_90a"],
    ["-arch=sm_80", "--gpu-architecture=sm_90a"],
  ]) {
    assert.equal(summarize(options).architecture, "sm_90a", String(options))
  }
  assert.deepEqual(summarize(["-D", "A=1", "--std=c++17", "-I"]), {
    architecture: undefined,
    includePaths: [],
    preIncludes: [],
    usesPrecompiledHeaders: false,
  })
  assert.ok(summarize(["--use-pch=x"]).usesPrecompiledHeaders)
})
