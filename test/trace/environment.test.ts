import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, describe, it } from "node:test"
import { fileURLToPath } from "node:url"
import type { TraceData } from "../../src/index.js"

const program = fileURLToPath(new URL("../../examples/ten-lines.js", import.meta.url))
const library = new URL("../../src/index.js", import.meta.url).href

describe("§12 AUXSTREAM_TRACE=FILE traces a program unchanged", () => {
  const folder = mkdtempSync(join(tmpdir(), "auxstream-trace-"))
  after(() => rmSync(folder, { recursive: true }))

  function run(path: string, script = program): { status: number | null; stdout: string; stderr: string } {
    return spawnSync(process.execPath, [script], {
      encoding: "utf8",
      timeout: 120_000,
      env: { ...process.env, AUXSTREAM_DEVICE: "host", AUXSTREAM_TRACE: path },
    })
  }

  function write(name: string, code: string): string {
    const path = join(folder, name)
    writeFileSync(path, `import { openDevice } from ${JSON.stringify(library)}\n${code}`)
    return path
  }

  it("writes JSON, a page or Perfetto's format at the end, as the extension says, and changes no output", () => {
    for (const extension of ["json", "html", "pftrace"]) {
      const { status, stdout, stderr } = run(join(folder, `trace.${extension}`))
      assert.deepEqual([status, stdout, stderr], [0, "2 4 6 40 50 60\n", ""])
    }
    const data = JSON.parse(readFileSync(join(folder, "trace.json"), "utf8")) as TraceData
    assert.equal(data.format, "auxstream-trace")
    assert.deepEqual([data.regions.length, data.spans.filter(({ name }) => name === "scale").length], [1, 2])
    assert.match(readFileSync(join(folder, "trace.html"), "utf8"), /^<!doctype html>/)
    assert.ok(readFileSync(join(folder, "trace.pftrace")).length > 500)
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith(".tmp")),
      [],
    )
  })

  it("also if the program ends by process.exit() or by an error", () => {
    const begin = `const device = openDevice("host")\nawait device.zeros("int32", 4).copyFrom(new Int32Array(4)).read()\n`
    for (const [name, end, code] of [
      ["exit", "process.exit(3)", 3],
      ["error", "throw new Error('no')", 1],
    ] as const) {
      const path = join(folder, `${name}.json`)
      assert.equal(run(path, write(`${name}.mjs`, begin + end)).status, code)
      const { spans } = JSON.parse(readFileSync(path, "utf8")) as TraceData
      assert.ok(spans.some(({ kind }) => kind === "read"))
    }
  })

  it("each second, while the program runs", () => {
    const path = join(folder, "running.json")
    const script = write(
      "running.mjs",
      `import { existsSync } from "node:fs"
       const device = openDevice("host")
       device.zeros("int32", 4)
       const timer = setInterval(() => {
         if (!existsSync(${JSON.stringify(path)})) return
         console.log("written while running")
         clearInterval(timer)
       }, 20)`,
    )
    assert.equal(run(path, script).stdout, "written while running\n")
  })

  it("each Worker writes a file of its own", () => {
    const script = write(
      "worker.mjs",
      `import { isMainThread, Worker } from "node:worker_threads"
       if (isMainThread) new Worker(new URL(import.meta.url))
       const device = openDevice("host", { threads: 2 })
       await device.zeros("int32", 4).read()
       device.dispose()`,
    )
    assert.equal(run(join(folder, "threads.json"), script).status, 0)
    const names = readdirSync(folder).filter((name) => name.startsWith("threads"))
    assert.deepEqual(names.toSorted(), ["threads.json", "threads.worker-1.json"])
  })

  it("refuses another extension with a coded error, and survives a file that cannot be written", () => {
    const refused = run(join(folder, "trace.txt"))
    assert.equal(refused.status, 1)
    assert.match(
      refused.stderr,
      /AUXSTREAM_TRACE` must be a file that ends in \.html, \.json, \.pftrace; got .*trace\.txt/,
    )
    assert.match(refused.stderr, /AUX_INVALID_ARGUMENT/)
    const lost = run(join(folder, "no-such-folder", "trace.json"))
    assert.deepEqual([lost.status, lost.stdout], [0, "2 4 6 40 50 60\n"])
  })
})
