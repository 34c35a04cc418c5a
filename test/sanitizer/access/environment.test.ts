import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"

/** A program that knows nothing of the sanitizer: its kernel writes an `in` array, and leaves elements of another unwritten. */
const library = new URL("../../../src/index.js", import.meta.url).href
const program = `
  import { defineKernel, openDevice } from ${JSON.stringify(library)}
  const source = "export function k(launch, x, y) { x[0]++; y[0] = 1 }"
  const k = defineKernel({ name: "k", signature: ["in int32*", "out int32*"], host: { source } })
  const device = openDevice("host")
  const [x, y] = [device.zeros("int32", 2), device.zeros("int32", 2)]
  k.launch({ grid: 1, block: 1 }, x, y)
  try {
    device.synchronize()
    console.log("it is done")
  } catch (error) {
    console.log(error.code, error.kind)
  }
  for (const owner of [x, y, device]) owner.dispose() // Otherwise a collection would warn.`

function run(sanitizer: string): string {
  const env = { ...process.env, AUXSTREAM_SANITIZER: sanitizer }
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
    timeout: 120_000,
    env,
  })
  return stdout + stderr
}

test("AUXSTREAM_SANITIZER starts the checks that it lists, with the first device", () => {
  assert.match(run("0"), /^it is done\n$/)
  assert.match(run("access"), /^AUX_ACCESS_VIOLATION written\n$/)
  assert.match(run("1,unwritten"), /^AUX_ACCESS_VIOLATION unwritten\n$/)
  const warned = run("warn,access,unwritten,pinned")
  assert.match(warned, /^it is done\n.*AUX_ACCESS_VIOLATION.*of argument 0.*left elements of argument 1 unwritten/s)
  assert.match(run("acess"), /`AUXSTREAM_SANITIZER` must be .*; got 'acess'/)
})
