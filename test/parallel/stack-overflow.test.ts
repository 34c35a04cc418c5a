import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

const nodeMajor = Number(process.versions.node.split(".")[0])

/** Without V8's compilers, a function's stack frame always has the same size. */
const interpreted = ["--no-opt", "--no-sparkplug", ...(nodeMajor > 20 ? ["--no-maglev"] : [])]

for (const kilobytes of [100, 200]) {
  test(`§5.5 if the stack overflows inside a call, the current stream is still restored (${kilobytes} kB)`, () => {
    const program = fileURLToPath(new URL("stack-overflow.program.js", import.meta.url))
    const options = [...interpreted, `--stack-size=${kilobytes}`, program]
    const { status, stderr } = spawnSync(process.execPath, options, { encoding: "utf8" })
    assert.equal(status, 0, stderr)
  })
}
