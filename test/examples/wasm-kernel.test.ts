import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, test } from "node:test"
import { project, runExample, runScript } from "./run.js"

const [width, height, limit] = [72, 30, 250]

/** The same in plain JavaScript, with the kernels' order of operations. */
function stepsOf(column: number, row: number): number {
  const x0 = column * (3.2 / width) - 2.2
  const y0 = row * (2.4 / height) - 1.2
  let [x, y, steps] = [0, 0, 0]
  for (; steps < limit && x * x + y * y <= 4; steps++) {
    const xy = x * y
    x = x * x - y * y + x0
    y = xy + xy + y0
  }
  return steps
}

function shade(steps: number): string {
  return steps === limit ? "@" : (" .:-=+*#%"[Math.min(8, Math.floor(Math.log2(steps)))] ?? "?")
}

describe("the custom WebAssembly kernel", () => {
  test("draws the same as plain JavaScript", () => {
    const { exitCode, output, errors } = runExample("wasm-kernel/main")
    assert.equal(errors, "")
    assert.equal(exitCode, 0)
    const expected = Array.from({ length: height }, (_, row) =>
      Array.from({ length: width }, (_, column) => shade(stepsOf(column, row))).join(""),
    )
    assert.deepEqual(output.trimEnd().split("\n"), expected)
  })

  test("is committed as built from its source", () => {
    const folder = mkdtempSync(join(tmpdir(), "auxstream-wasm-kernel-"))
    try {
      const built = join(folder, "mandelbrot.wasm")
      const compiler = join(project, "node_modules/assemblyscript/bin/asc.js")
      const config = join(project, "examples/wasm-kernel/asconfig.json")
      const { exitCode, errors } = runScript(compiler, "--config", config, "--outFile", built)
      assert.equal(exitCode, 0, errors)
      const committed = readFileSync(join(project, "examples/wasm-kernel/mandelbrot.wasm"))
      assert.ok(readFileSync(built).equals(committed), "build it again: its README says how")
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
