import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"

const library = JSON.stringify(new URL("../../src/index.js", import.meta.url).href)

test(
  "AUXSTREAM_TRACE: a link that another user put in the place of the unfinished file is not followed",
  {
    skip: process.platform === "win32",
  },
  () => {
    const folder = mkdtempSync(join(tmpdir(), "auxstream-trace-"))
    try {
      const [trace, victim] = [join(folder, "trace.json"), join(folder, "victim")]
      writeFileSync(victim, "precious")
      const program = `
      import { symlinkSync } from "node:fs"
      import { openDevice } from ${library}
      symlinkSync(${JSON.stringify(victim)}, ${JSON.stringify(trace)} + "." + process.pid + ".0.tmp")
      const device = openDevice("host")
      device.zeros("int32", 1).dispose()
      device.dispose()`
      const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
        encoding: "utf8",
        timeout: 120_000,
        env: { ...process.env, AUXSTREAM_TRACE: trace },
      })
      assert.deepEqual([status, stderr], [0, ""])
      assert.equal(readFileSync(victim, "utf8"), "precious")
      assert.deepEqual(readdirSync(folder).sort(), ["trace.json", "victim"])
      JSON.parse(readFileSync(trace, "utf8"))
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)
