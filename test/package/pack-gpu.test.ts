import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { after, before, describe, test } from "node:test"
import { node, project, temporaryFolder } from "./packing.js"

/** Why this machine cannot pack or unpack, if it cannot. */
function obstacle(): string | false {
  if (process.platform !== "linux" || process.arch !== "x64") return "the packed build runs on Linux x64 only"
  const missing = ["tar", "xz"].find((name) => spawnSync(name, ["--version"]).status !== 0)
  return missing === undefined ? false : `packing needs the program ${missing}`
}

describe("the pack for a machine with a GPU", { skip: obstacle() }, () => {
  let folder = ""
  let packed = ""
  let place = ""

  before(() => {
    folder = temporaryFolder()
    packed = join(folder, "packed")
    node(project, "scripts/pack-gpu.mjs", "--as-built", "--without-node", "--out", packed)
    run("true")
    const [unpacked, ...others] = readdirSync(folder).filter((name) => name.startsWith("auxstream-gpu-"))
    assert.deepEqual(others, [])
    assert.ok(unpacked !== undefined, "nothing was unpacked")
    place = join(folder, unpacked)
  })
  after(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  /** Runs a command as on a bare machine: with system programs, and this Node.js. */
  function run(...command: string[]) {
    return spawnSync(join(packed, "run.sh"), command, {
      env: {
        PATH: `${dirname(process.execPath)}:/usr/bin:/bin`,
        TMPDIR: folder,
        AUXSTREAM_LIBCUDA: join(folder, "no-such-library.so"),
        AUXSTREAM_TEST_DEVICE: "host",
      },
      encoding: "utf8",
      timeout: 300_000,
    })
  }

  test("every import is found", () => {
    const program = `
      const names = ["auxstream", "auxstream/blas", "koffi", "fast-check", "expect-type", "piscina", "tinypool"]
      for (const name of names) console.log(name, typeof (await import(name)))
      console.log((await import("koffi")).default.sizeof("int"))
      console.log(import.meta.resolve("auxstream"))`
    const { stdout, stderr, status } = run("node", "--input-type=module", "--eval", program)
    assert.equal(status, 0, stderr)
    const lines = stdout.trim().split("\n")
    assert.deepEqual(
      lines.slice(0, 7).filter((line) => !line.endsWith(" object")),
      [],
    )
    assert.deepEqual(lines.slice(7), ["4", `file://${place}/dist/index.js`])
  })

  test("the commit is recorded", () => {
    const { stdout } = run("cat", "COMMIT")
    assert.match(stdout, /^([0-9a-f]{7,40}(-dirty)?|unknown)\n$/)
  })

  test("the suites run there", () => {
    const { stdout, status } = run("node", "--test-reporter=spec", "build/test/conformance/views.test.js")
    assert.equal(status, 0, stdout)
    assert.match(stdout, /ℹ pass [1-9]/)
  })

  test("a measurement without a GPU names the missing parts, and succeeds", () => {
    const out = join(folder, "out")
    const { stdout, stderr, status } = run(
      "node",
      "build/bench/gpu/main.js",
      "--quick",
      "--only",
      "calls",
      "--out",
      out,
    )
    assert.equal(status, 0, stderr)
    assert.match(stdout, /auxstream is not there: .*no-such-library\.so/)
    const json = readdirSync(out).find((name) => name.endsWith(".json")) ?? ""
    const report = JSON.parse(readFileSync(join(out, json), "utf8")) as { parts: { name: string; status: string }[] }
    const parts = report.parts.map(({ name, status }) => [name, status])
    assert.deepEqual(parts, [
      ["machine", "done"],
      ["calls", "done"],
    ])
  })

  test("contains only files that are run", () => {
    const listed = spawnSync("find", [place, "-type", "f"], { encoding: "utf8" }).stdout.trim().split("\n")
    const needless = listed.filter((path) => /\.(map|d\.ts|md)$/.test(path) && !path.endsWith(`${place}/README.md`))
    assert.deepEqual(needless, [])
    assert.deepEqual(readdirSync(join(place, "node_modules/@koromix")), ["koffi-linux-x64"])
  })

  test("equal contents are unpacked once", () => {
    const mark = join(place, "mark")
    writeFileSync(mark, "")
    assert.equal(run("test", "-e", "mark").status, 0)
    rmSync(mark)
    const script = readFileSync(join(packed, "run.sh"), "utf8")
    const again = join(folder, "again")
    node(project, "scripts/pack-gpu.mjs", "--as-built", "--without-node", "--out", again)
    assert.equal(readFileSync(join(again, "run.sh"), "utf8"), script, "equal contents gave different archives")
  })

  test("passes arguments and exit code through, and requires a command", () => {
    const { stdout, status } = run("sh", "-c", 'echo "$1"; exit 7', "sh", "two  words")
    assert.deepEqual([stdout, status], ["two  words\n", 7])
    const none = run()
    assert.equal(none.status, 2)
    assert.match(none.stderr, /Name the command/)
  })
})
