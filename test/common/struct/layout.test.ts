import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import type { StructParameter } from "../../../src/index.js"
import { flatten, type FlatSignature } from "../../../src/common/struct/flat.js"
import { type Layout, NARROW_POINTER, type StructLayout, withPointers } from "../../../src/common/struct/layout.js"
import { parseSignature } from "../../../src/runtime/kernel/signature.js"
import { numbersFrom } from "../../support/random.js"
import { inC, leavesOf, randomStruct } from "../../support/structs.js"

const SEED = 20261201
const COUNT = 400

/** The size, the alignment, and the offset of each scalar, pointer and bytes, as the C compiler has them. */
function fromCompiler(structs: readonly StructParameter[], pointer?: () => string): number[][] {
  const folder = mkdtempSync(join(tmpdir(), "auxstream-structs-"))
  try {
    const lines = structs.map((struct, index) => {
      const name = `s${index}`
      const offsets = leavesOf(struct).map(({ path }) => `offsetof(struct ${name}, ${path.slice(1)})`)
      const values = [`sizeof(struct ${name})`, `_Alignof(struct ${name})`, ...offsets]
      return `{ size_t v[] = { ${values.join(", ")} }; print(v, sizeof v / sizeof *v); }`
    })
    writeFileSync(
      join(folder, "structs.c"),
      `#include <stddef.h>\n#include <stdio.h>\n${structs.map((struct, index) => inC(`s${index}`, struct, pointer)).join("")}
      static void print(const size_t *v, size_t n) { for (size_t i = 0; i < n; i++) printf("%zu ", v[i]); puts(""); }
      int main(void) { ${lines.join("\n")} return 0; }`,
    )
    const compiled = spawnSync("cc", ["-O0", "-o", "structs", "structs.c"], { cwd: folder, encoding: "utf8" })
    assert.equal(compiled.status, 0, compiled.stderr)
    const { stdout } = spawnSync(join(folder, "structs"), { encoding: "utf8" })
    return stdout
      .trim()
      .split("\n")
      .map((line) => line.trim().split(" ").map(Number))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The same of a layout. */
function fromLayout(layout: Layout): number[] {
  return [layout.byteLength, layout.align, ...offsetsIn(layout, 0)]
}

function offsetsIn(layout: Layout, offset: number): number[] {
  if (layout.kind === "struct") return layout.fields.flatMap((field) => offsetsIn(field.layout, offset + field.offset))
  if (layout.kind !== "array") return [offset]
  const { element, length } = layout
  return Array.from({ length }, (_, index) => offsetsIn(element, offset + index * element.byteLength)).flat()
}

function layoutOf(struct: StructParameter): StructLayout {
  const [layout] = parseSignature([struct], "k")
  assert.ok(layout !== undefined && "kind" in layout && layout.kind === "struct")
  return layout
}

const hasCompiler = spawnSync("cc", ["--version"]).status === 0

test("§11 structs are laid out as the C compiler does it", { skip: !hasCompiler && "no C compiler" }, () => {
  const pick = numbersFrom(SEED)
  const structs = Array.from({ length: COUNT }, () => randomStruct(pick))
  const expected = fromCompiler(structs)
  for (const [index, struct] of structs.entries()) {
    assert.deepEqual(fromLayout(layoutOf(struct)), expected[index], JSON.stringify(struct))
  }
})

test("§11 for WebAssembly, where a pointer has 4 bytes, too", { skip: !hasCompiler && "no C compiler" }, () => {
  const pick = numbersFrom(SEED + 1)
  const structs = Array.from({ length: COUNT }, () => randomStruct(pick))
  const expected = fromCompiler(structs, () => "unsigned int")
  for (const [index, struct] of structs.entries()) {
    const narrow = withPointers(layoutOf(struct), NARROW_POINTER)
    assert.deepEqual(fromLayout(narrow), expected[index], JSON.stringify(struct))
  }
})

test("§11 a flat signature has the parameters that are no structs, then the pointers inside structs, each with its path", () => {
  const signature = parseSignature(
    [
      "int32",
      { struct: { a: "uint8", p: "in float32*", inner: [{ struct: { q: "out int64*", n: "int16" } }, 2] } },
      "inout float64*",
      { bytes: 24, align: 8 },
      { struct: { r: ["in uint8*", 2] } },
    ],
    "k",
  )
  const { primitives, places, pointers, byteLength }: FlatSignature = flatten(signature)
  assert.deepEqual(
    primitives.map(({ path, dtype, access }) => [path, dtype, access]),
    [
      ["0", "int32", undefined],
      ["2", "float64", "inout"],
      ["1.p", "float32", "in"],
      ["1.inner[0].q", "int64", "out"],
      ["1.inner[1].q", "int64", "out"],
      ["4.r[0]", "uint8", "in"],
      ["4.r[1]", "uint8", "in"],
    ],
  )
  assert.deepEqual(
    places.map((place) => (typeof place === "number" ? place : [place.offset, place.layout.byteLength])),
    [0, [0, 48], 1, [48, 24], [72, 16]],
  )
  assert.deepEqual(pointers, [8, 16, 32, 72, 80])
  assert.equal(byteLength, 88)
})
