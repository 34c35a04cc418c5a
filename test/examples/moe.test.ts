import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { fileURLToPath } from "node:url"
import { allEqual, medians, type Measurement } from "../../examples/moe/measure.js"
import { makeReport, type Report, reportText } from "../../examples/moe/report.js"
import { sizesFor } from "../../examples/moe/sizes.js"
import { allocateLayers, arraysOf } from "../../examples/moe/weights.js"
import { openDevice } from "auxstream"
import { project, runExample } from "./run.js"

const run = (...args: string[]) => runExample("moe/main", ...args)

describe("the main job", () => {
  let folder = ""
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "auxstream-moe-"))
    writeFileSync(join(folder, "empty.txt"), "")
    writeFileSync(join(folder, "short.txt"), "Two roads diverged")
  })
  after(() => rmSync(folder, { recursive: true }))

  test("--json prints one object: times, speed-up, reductions, and passed checks", () => {
    const input = join(folder, "short.txt")
    const { exitCode, output, errors } = run("--input", input, "--layers", "1", "--json", "--device", "host")
    assert.equal(errors, "")
    assert.equal(exitCode, 0)
    const report = JSON.parse(output) as Report
    assert.equal(report.device.id, "host")
    assert.ok(Number(report.device.threads) >= 1)
    assert.deepEqual(report.sizes, { ...sizesFor("host", 1, 18) })
    assert.match(report.kept, /kept 12 of 60 experts, 1 of 24 layers, no attention; 18 of 18 bytes of .*short\.txt/)
    const { sequential, parallel, routed, shared, longer } = report.milliseconds
    assert.ok(Math.min(...Object.values<number>({ ...report.milliseconds })) > 0)
    assert.equal(longer >= Math.max(routed, shared), true)
    assert.deepEqual(report.graph, { nodes: 10, branches: 2 })
    assert.equal(report.speedUp, sequential / parallel)
    assert.equal(report.overlapShare, (sequential - parallel) / (sequential - longer))
    assert.equal(report.checks.parallelEqualsSequential, true)
    assert.equal(report.checks.capturedEqualsEager, true)
    assert.equal(report.checks.reference.passed, true)
    assert.ok(report.checks.reference.largestError > 0 && report.checks.reference.largestError < 1e-3)
    assert.equal(report.passed, true)
  })

  test("prints a report for people, and its progress as plain lines where there is no terminal", () => {
    const { exitCode, output, errors } = run("--layers=2", "--tokens=1", "--device=host")
    assert.equal(exitCode, 0)
    assert.equal(
      errors,
      "This takes about a minute on two idle cores.\n" +
        "Filling the weights …\nWarming up …\nMeasuring whether to overlap …\nTiming …\nComputing the float64 reference …\n",
    )
    for (const words of [
      "In sequence",
      "Side by side",
      "autoParallel",
      "As measured",
      "Longer branch",
      "Speed-up",
      "possible overlap",
    ]) {
      assert.ok(output.includes(words), `${words}: ${output}`)
    }
    assert.match(output, /eager +captured\n/)
    assert.match(output, /19 operations on 2 streams, or one launch of the graph/)
    assert.match(output, /kept 12 of 60 experts, 2 of 24 layers, no attention; 1 of \d+ bytes of README\.md/)
    assert.match(output, /✓ all four ways give the same bits/)
    assert.match(output, /✓ captured, all four give the same bits as eager/)
    assert.match(output, /✓ float64 reference, 1 token in 2 layers: largest relative error/)
  })

  test("--help prints the options", () => {
    const { exitCode, output, errors } = run("--help")
    assert.deepEqual([exitCode, errors], [0, ""])
    for (const option of ["--input", "--tokens", "--layers", "--device", "--json"]) assert.ok(output.includes(option))
  })

  test("bad input gets one sentence and exit code 2", () => {
    const table: readonly (readonly [args: readonly string[], words: RegExp])[] = [
      [["--input", join(folder, "none.txt")], /Cannot read .*none\.txt: there is no such file/],
      [["--input", join(folder, "empty.txt")], /empty\.txt must not be empty/],
      [["--input", folder], /is not a file/],
      [["--input="], /--input must be the path of a text; got an empty string/],
      [["--tokens", "-3"], /--tokens must be an integer from 1 to 4096; got "-3"/],
      [["--tokens", "0"], /--tokens must be .+; got "0"/],
      [["--tokens", "1.5"], /--tokens must be .+; got "1\.5"/],
      [["--tokens", "abc"], /--tokens must be .+; got "abc"/],
      [["--tokens", "4097"], /--tokens must be .+; got "4097"/],
      [["--tokens", "1e3"], /--tokens must be .+; got "1e3"/],
      [
        ["--tokens", "19", "--input", join(folder, "short.txt")],
        /--tokens must be at most 18, the bytes of .*; got 19/,
      ],
      [["--tokens"], /--tokens/],
      [["--layers", "0"], /--layers must be an integer from 1 to 24; got "0"/],
      [["--layers", "25"], /--layers must be .+; got "25"/],
      [["--layers", "24", "--device", "host"], /24 layers need 6\.6 GB, but the host device has room for/],
      [["--device", "gpu"], /--device must be auto, host, cuda or cuda:N; got "gpu"/],
      [["--device", "cuda:x"], /--device must be .+; got "cuda:x"/],
      [["--device", "cuda:4711"], /cuda/i],
      [["--fast"], /Unknown option '--fast'; --help/],
      [["text.txt"], /Unexpected argument 'text\.txt'/],
      [["--json=yes"], /--json/],
    ]
    for (const [args, words] of table) {
      const { exitCode, output, errors } = run(...args)
      const line = `${args.join(" ")}: ${errors}`
      assert.equal(exitCode, 2, line)
      assert.equal(output, "", line)
      assert.match(errors, words)
      assert.match(errors, /^[^\n]+\n$/, line)
    }
  })

  test("Ctrl-C ends it at once, cleanly", { skip: process.platform === "win32" }, async () => {
    const script = fileURLToPath(new URL("../../examples/moe/main.js", import.meta.url))
    const child = spawn(process.execPath, [script, "--layers", "1", "--tokens", "4"], { cwd: project })
    let errors = ""
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text
      if (text.includes("Timing")) child.kill("SIGINT")
    })
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      child.on("close", (...ended) => resolve(ended))
    })
    assert.deepEqual([code, signal], [130, null], errors)
    assert.match(errors, /\nStopped\.\n$/)
  })
})

describe("the main job's figures", () => {
  const row = (...hidden: readonly number[]) => Float32Array.from(hidden)
  const round = (sequential: number): Measurement => ({
    sequential,
    parallel: 6,
    automatic: 6.5,
    measured: 6.25,
    capturedSequential: 10,
    capturedParallel: 5,
    capturedAutomatic: 5.5,
    capturedMeasured: 5.25,
    queueing: 2,
    capturedQueueing: 1,
    routed: 5,
    shared: 4,
    longer: 5,
  })

  test("one differing bit in any round is a failure", () => {
    assert.equal(allEqual([row(0, 1), row(0, 1), row(0, 1)]), true)
    assert.equal(allEqual([row(0, 1), row(0, 1), row(-0, 1)]), false)
    assert.equal(allEqual([row(0, 1), row(0, 1 + 2 ** -23)]), false)
    assert.equal(allEqual([row(0, 1), row(NaN, 1)]), false)
    assert.equal(allEqual([]), false)
  })

  const facts = {
    device: { id: "host", name: "", threads: 2 },
    input: { name: "x", fileBytes: 1 },
    sizes: sizesFor("host", 1, 1),
    layersThatFit: null,
    rounds: 3,
    othersShare: 0.02,
    milliseconds: medians([round(9), round(8), round(100)]),
    graph: { nodes: 10, branches: 2 },
    decided: { eager: "parallel", captured: null },
  } as const
  const reference = { tokens: 1, layers: [0], largestError: 1, tolerance: 1, steps: [], passed: true }
  const hold = { parallelEqualsSequential: true, capturedEqualsEager: true, reference }

  test("each check can fail the whole run", () => {
    const report = makeReport({ ...facts, checks: hold })
    assert.equal(report.passed, true)
    assert.equal(report.speedUp, 1.5)
    assert.equal(report.capturedSpeedUp, 2)
    assert.equal(report.overlapShare, 0.75)
    const failures = [
      { ...hold, parallelEqualsSequential: false },
      { ...hold, capturedEqualsEager: false },
      { ...hold, reference: { ...reference, passed: false } },
    ]
    for (const checks of failures) {
      const failed = makeReport({ ...facts, checks })
      assert.equal(failed.passed, false)
      assert.match(reportText(failed), /✗ FAILED/)
    }
  })

  test("the report says what the policy chose for each kind of call", () => {
    const of = (decided: Report["decided"]) => reportText(makeReport({ ...facts, decided, checks: hold }))
    assert.match(of({ eager: "parallel", captured: "parallel" }), /the policy chose: side by side\n/)
    assert.match(of({ eager: "sequential", captured: null }), /chose: in sequence; captured, not decided yet\n/)
  })

  test("poor overlap is reported with the share of processor time that other processes used", () => {
    const textAt = (sequential: number, othersShare: number): string =>
      reportText(makeReport({ ...facts, milliseconds: round(sequential), othersShare, checks: hold }))
    assert.doesNotMatch(textAt(9, 0.8), /Little overlap/)
    assert.match(textAt(6, 0.02), /Little overlap\. Other processes used 2 % of the processor time meanwhile\.\n/)
    assert.match(textAt(6, 0.8), /used 80 % of the processor time meanwhile; repeat this on an idle machine\.\n/)
  })

  test("a wrong result names the step and the layer", () => {
    const steps = [
      { step: "norm", layer: 0, largestError: 0, tolerance: 0.5, passed: true },
      { step: "routed", layer: 7, largestError: 2, tolerance: 0.5, passed: false },
    ] as const
    const checks = { ...hold, reference: { ...reference, steps, passed: false } }
    const text = reportText(makeReport({ ...facts, checks }))
    assert.match(text, /✓ norm: error 0\.0e\+0, largest in layer 0, allowed 5\.0e-1/)
    assert.match(text, /✗ FAILED: routed: error 2\.0e\+0, largest in layer 7, allowed 5\.0e-1/)
  })

  test("the report names layers that did not fit in memory", () => {
    const { kept } = makeReport({ ...facts, sizes: sizesFor("cuda", 17, 1), layersThatFit: 17, checks: hold })
    assert.match(kept, /kept 60 of 60 experts, 17 of 24 layers \(more do not fit into the device's memory\)/)
  })
})

describe("the main job's weights", () => {
  test("as many layers as fit, if fewer are allowed; otherwise an error, and no memory is kept", () => {
    using device = openDevice("host")
    const sizes = sizesFor("cuda", 24, 1)
    assert.throws(() => device.scope(() => allocateLayers(device, sizes, false)), { code: "AUX_OUT_OF_MEMORY" })
    const layers = allocateLayers(device, sizes, true)
    const [one = 0] = layers.map((layer) => arraysOf(layer).reduce((sum, array) => sum + array.byteLength, 0))
    assert.ok(layers.length >= 1 && (layers.length + 1) * one < 2 ** 32, `${layers.length} layers of ${one} bytes`)
  })
})
