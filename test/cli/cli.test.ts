/** The command `auxstream`, as a user calls it. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, describe, test } from "node:test"
import { pathToFileURL } from "node:url"
import { paintFor } from "../../src/cli/terminal.js"
import { project } from "../package/packing.js"

const command = join(project, "dist", "cli", "main.js")
const folder = mkdtempSync(join(tmpdir(), "auxstream-cli-"))
after(() => rmSync(folder, { recursive: true }))

function run(...args: string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const env = { ...process.env, AUXSTREAM_LIBCUDA: join(folder, "no-driver") }
  return spawnSync(process.execPath, [command, ...args], { cwd: folder, env, encoding: "utf8" })
}

/** Writes a program that uses the library, and returns its path. */
function program(name: string, text: string): string {
  const path = join(folder, name)
  const library = JSON.stringify(pathToFileURL(join(project, "dist", "index.js")).href)
  writeFileSync(path, `import { captureGraph, openDevice, parallel } from ${library}\n${text}`)
  return path
}

/** Runs two branches of a graph, prints, and ends with the exit code of its second argument. */
const sideBySide = `
  const device = openDevice("host", { threads: 2 })
  const [x, y] = [device.zeros("int32", 10), device.zeros("int32", 10)]
  const graph = captureGraph(() => parallel([() => void x.fill(1), () => void y.fill(2)]), { device })
  graph.launch()
  console.log("printed", (await x.read())[0], process.argv[2])
  graph.dispose()
  device.dispose()
  process.exitCode = Number(process.argv[3] ?? 0)`

describe("auxstream", () => {
  test("prints a help that fits on a screen, for all commands and for each", () => {
    for (const args of [
      [],
      ["--help"],
      ["doctor", "--help"],
      ["trace", "--help"],
      ["bench", "-h"],
      ["graph", "--help"],
    ]) {
      const { status, stdout, stderr } = run(...args)
      assert.equal(status, 0)
      assert.equal(stderr, "")
      const lines = stdout.split("\n")
      assert.ok(lines.length <= 24 && lines.every((line) => line.length <= 120), stdout)
    }
    assert.match(run("demo", "--help").stdout, /--tokens N/)
  })

  const mistakes: readonly [args: readonly string[], sentence: RegExp][] = [
    [["docter"], /must be one of doctor, demo, trace, bench, graph; got "docter"/],
    [["doctor", "--jsn"], /'--jsn'.*auxstream doctor --help/],
    [["doctor", "--device", "tpu"], /--device must be host or cuda; got "tpu"/],
    [["bench", "--rounds", "0"], /--rounds must be an integer from 1 to 1000; got "0"/],
    [["bench", "--device", "gpu"], /--device must be auto, host, cuda or cuda:N; got "gpu"/],
    [["trace", "out.txt", "--", "node", "x.js"], /must end in \.html, \.pftrace or \.json, .* got "out\.txt"/],
    [["trace", "out.html", "node", "x.js"], /The program must follow after --/],
    [["trace"], /as in `auxstream trace out\.html -- node program\.js`; got nothing\.$/m],
    [["trace", "out.html", "--", "no-such-program"], /no-such-program cannot be started/],
    [["graph"], /must be the path of a module/],
    [["graph", "--"], /must be the path of a module/],
    [["graph", "--out", "x.png", "program.mjs"], /must name a file that ends in \.dot or \.svg; got "x\.png"/],
  ]
  test("answers a mistake with one sentence and exit code 2", () => {
    for (const [args, sentence] of mistakes) {
      const { status, stdout, stderr } = run(...args)
      assert.equal(status, 2, args.join(" "))
      assert.equal(stdout, "")
      assert.match(stderr, sentence)
      assert.equal(stderr.trim().split("\n").length, 1, stderr)
    }
  })

  test("doctor says which devices work and which parts are missing, and measures; its exit code is for scripts", () => {
    const { status, stdout } = run("doctor", "--json")
    assert.equal(status, 0)
    const { ok, devices } = JSON.parse(stdout) as {
      ok: boolean
      devices: { id: string; usable: boolean; reason?: string; measured?: Record<string, { median: number }> }[]
    }
    assert.equal(ok, true)
    const [cuda, host] = devices
    assert.deepEqual([cuda?.id, cuda?.usable], ["cuda", false])
    assert.match(cuda?.reason ?? "", /AUXSTREAM_LIBCUDA is .*cannot be loaded/)
    assert.deepEqual([host?.id, host?.usable], ["host", true])
    for (const figure of ["launch", "forkJoin", "graphLaunch", "speedup"]) {
      assert.ok((host?.measured?.[figure]?.median ?? 0) > 0, figure)
    }
    const missing = run("doctor", "--device", "cuda")
    assert.equal(missing.status, 1)
    assert.match(missing.stdout, /✗ cuda {2}AUXSTREAM_LIBCUDA is /)
    assert.match(missing.stdout, /✓ host/)
  })

  test("trace runs a program unchanged, writes its trace, and passes on its output and its exit code", () => {
    const out = join(folder, "out.json")
    const { status, stdout, stderr } = run(
      "trace",
      "out.json",
      "--",
      "node",
      program("side.mjs", sideBySide),
      "given",
      "7",
    )
    assert.equal(status, 7)
    assert.equal(stdout, "printed 1 given\n")
    assert.match(stderr, /^Trace of .+: \d+ operations on .+; overlap \d+ %\nhost \(times from workers\): busy for /)
    assert.match(stderr, /Trace written to .*out\.json\n$/)
    const { spans } = JSON.parse(readFileSync(out, "utf8")) as { spans: { kind: string }[] }
    assert.equal(spans.filter(({ kind }) => kind === "node").length, 2)
  })

  test("trace says if the program wrote no trace", () => {
    const { status, stderr } = run("trace", "none.html", "--", "node", program("nothing.mjs", ""))
    assert.equal(status, 1)
    assert.match(stderr, /wrote no trace: it opened no device/)
    const failed = run("trace", "none.html", "--", "node", program("failing.mjs", "process.exit(3)"))
    assert.equal(failed.status, 3)
    assert.match(failed.stderr, /ended with exit code 3 before it opened a device/)
    assert.ok(!existsSync(join(folder, "none.html")))
  })

  test("trace prints the same summary of a page as of JSON", () => {
    const summaries = ["out.html", "out.json", "out.pftrace"].map((out) => {
      const { stderr } = run("trace", out, "--", "node", program("side.mjs", sideBySide))
      return stderr.replaceAll(/[\d.]+ (?:ns|µs|ms|s|%)/g, "").replaceAll(/Trace written.*/g, "")
    })
    assert.match(summaries[0] ?? "", /^fork-join +mode +calls/m)
    assert.equal(summaries[2], "\n")
    assert.match(
      run("trace", "out.html", "--", "node", program("side.mjs", sideBySide)).stderr,
      /open it in a browser\n$/,
    )
  })

  test("graph draws what the program captured", () => {
    const path = program("graph.mjs", sideBySide)
    const { status, stdout, stderr } = run("graph", path, "given")
    assert.equal(status, 0)
    assert.match(stdout, /^digraph \{[^]*fill[^]*fill[^]*\}\n$/)
    assert.match(stderr, /printed 1 given/)
    assert.equal(run("graph", "--out=graphs.dot", path).status, 0)
    assert.equal(readFileSync(join(folder, "graphs.dot"), "utf8"), stdout)
    assert.equal(run("graph", "--", "node", path).stdout, stdout)
    assert.equal(run("graph", program("empty.mjs", "")).status, 1)
  })

  test("graph draws an SVG with @viz-js/viz if the program's folder has it", () => {
    const viz = join(folder, "node_modules", "@viz-js", "viz")
    mkdirSync(viz, { recursive: true })
    writeFileSync(
      join(viz, "package.json"),
      JSON.stringify({ name: "@viz-js/viz", type: "module", exports: "./viz.js" }),
    )
    const text =
      "export const instance = async () => ({ renderString: (dot, { format }) => `<${format}>${dot}</${format}>` })"
    writeFileSync(join(viz, "viz.js"), text)
    const env = { ...process.env, PATH: "" } // Without Graphviz.
    const path = program("svg.mjs", sideBySide)
    const { status } = spawnSync(process.execPath, [command, "graph", "--out", "g.svg", path], { cwd: folder, env })
    assert.equal(status, 0)
    assert.match(readFileSync(join(folder, "g.svg"), "utf8"), /^<svg[^]*fill/)
  })

  test("colours only on a terminal, and never with NO_COLOR", () => {
    assert.equal(paintFor({ isTTY: true }, {})("red", "x"), "\u001b[31mx\u001b[0m")
    assert.equal(paintFor({ isTTY: true }, { NO_COLOR: "1" })("red", "x"), "x")
    assert.equal(paintFor({ isTTY: true }, { TERM: "dumb" })("red", "x"), "x")
    assert.equal(paintFor({}, {})("red", "x"), "x")
  })
})
