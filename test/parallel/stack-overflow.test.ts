import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

const nodeMajor = Number(process.versions.node.split(".")[0])

/** Without compilers, a function's frame on the stack is always of one size. */
const interpreted = ["--no-opt", "--no-sparkplug", ...(nodeMajor > 20 ? ["--no-maglev"] : [])]

for (const kilobytes of [100, 200]) {
  test(`§5.5 where the stack ends inside a call, the current stream is restored all the same (${kilobytes} kB)`, () => {
    const program = fileURLToPath(new URL("stack-overflow.program.js", import.meta.url))
    const options = [...interpreted, `--stack-size=${kilobytes}`, program]
    const { status, stderr } = spawnSync(process.execPath, options, { encoding: "utf8" })
    assert.equal(status, 0, stderr)
  })
}
