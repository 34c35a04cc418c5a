import assert from "node:assert/strict"
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, test } from "node:test"
import { goalLines } from "../../bench/gpu/goals.js"
import { Peer } from "../../bench/gpu/peer.js"
import { type Measured, measure } from "../../bench/gpu/rounds.js"
import type { Report } from "../../bench/gpu/run.js"
import { watched } from "../../bench/gpu/sanitizers.js"
import { resultOf, runSuites } from "../../bench/gpu/suites.js"
import { toMarkdown } from "../../bench/gpu/summary.js"

describe("alternating measurements", () => {
  let folder = ""
  let log = ""
  let peers: Peer[] = []

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "auxstream-turns-"))
    log = join(folder, "log")
    appendFileSync(log, "")
    peers = []
  })
  afterEach(() => {
    for (const peer of peers) peer.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  /** A peer that logs each turn; `answer` is code for its answer in its `turn`th turn. */
  async function start(name: string, answer: string): Promise<Peer> {
    const program = `
      const { appendFileSync } = require("node:fs")
      console.log(JSON.stringify({ ready: true, versions: {} }))
      let turn = 0
      require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
        const row = line.split(" ")[0]
        appendFileSync(${JSON.stringify(log)}, ${JSON.stringify(name)} + " " + row + "\\n")
        turn++
        const said = ${answer}
        if (said !== undefined) console.log(JSON.stringify(said))
      })`
    const peer = new Peer(name, process.execPath, ["-e", program])
    peers.push(peer)
    assert.equal(await peer.start(20), undefined)
    return peer
  }

  const plans = ["left", "right"].map((row) => ({ row, batches: 3, operations: 1 }))
  const always = () => true

  test("each peer measures each row once a round, and another one comes first in each round", async () => {
    const both = [await start("a", "{ nanoseconds: [1] }"), await start("b", "{ nanoseconds: [2] }")]
    await measure(both, plans, 4, always)
    const turns = readFileSync(log, "utf8").trim().split("\n")
    const rounds = Array.from({ length: 5 }, (_, round) => turns.slice(round * 4, round * 4 + 4))
    assert.equal(turns.length, 20)
    for (const round of rounds) assert.deepEqual(round.toSorted(), ["a left", "a right", "b left", "b right"])
    assert.equal(new Set(rounds.slice(1).map(([first]) => first)).size, 4)
  })

  test("the first round does not count; a figure is the median of the rounds' medians", async () => {
    const answer = "{ nanoseconds: turn === 1 ? [999] : [turn, turn * 10, 1000], host: [turn] }"
    const { measured } = await measure([await start("a", answer)], plans.slice(0, 1), 3, always)
    const [found] = measured
    assert.deepEqual(found?.rounds, [20, 30, 40])
    assert.equal(found.median, 30)
    assert.deepEqual([found.least, found.most], [20, 40])
    assert.deepEqual(found.beside, { host: 3 })
  })

  test("warm-up batches run and do not count", async () => {
    const answer = "{ nanoseconds: Array.from({ length: Number(line.split(' ')[1]) }, (_, batch) => 10 - batch) }"
    const plan = { row: "left", batches: 3, operations: 1, warmUp: 4 }
    const { measured } = await measure([await start("a", answer)], [plan], 1, always)
    assert.deepEqual(measured[0]?.rounds, [5])
  })

  test("a peer that ends, hangs or lacks a row is reported, and the others go on", async () => {
    const ending = await start(
      "ending",
      "turn === 2 ? (console.error('no more'), process.exit(3)) : { nanoseconds: [1] }",
    )
    const lacking = await start("lacking", "{ missing: 'has none' }")
    const failing = await start("failing", "{ failed: 'went wrong' }")
    const good = await start("good", "{ nanoseconds: [7] }")
    const { measured, missing } = await measure([ending, lacking, failing, good], plans.slice(0, 1), 2, always)
    assert.deepEqual(
      measured.map(({ peer, median }) => [peer, median]),
      [["good", 7]],
    )
    const reasons = new Map(missing.map(({ peer, reason }) => [peer, reason]))
    assert.match(reasons.get("ending") ?? "", /ended \(3\)\. no more/)
    assert.equal(reasons.get("lacking"), "has none")
    assert.equal(reasons.get("failing"), "went wrong")

    const silent = await start("silent", "undefined")
    assert.deepEqual(await silent.ask("row", 1, 1, 0.2), { reason: "silent did not answer in 0.2 s" })
    assert.deepEqual(await silent.ask("row", 1, 1, 20), { reason: "silent did not answer in 0.2 s" })
  })

  test("all peers run on one core if the system allows that", async () => {
    const peers = [await start("a", "{ nanoseconds: [1] }"), await start("b", "{ nanoseconds: [1] }")]
    const coresOf = ({ pid, onOneCore }: Peer) =>
      onOneCore ? /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] : "no taskset"
    const [first, second] = peers.map(coresOf)
    assert.match(first ?? "", /^\d+$|^no taskset$/)
    assert.equal(first, second)
  })

  test("a peer that cannot be started is reported", async () => {
    const absent = new Peer("absent", join(folder, "no-such-program"), [])
    assert.match((await absent.start(20)) ?? "", /absent cannot be started: .*ENOENT/)
  })

  test("only its own peer measures a peer's own row, alternating with the others' rows", async () => {
    const peers = [await start("a", "{ nanoseconds: [1] }"), await start("b", "{ nanoseconds: [2] }")]
    const shared = { row: "shared", batches: 1, operations: 1 }
    const { measured, missing } = await measure(peers, [shared, { ...shared, row: "own", by: "b" }], 2, () => true)
    assert.deepEqual(
      measured.map(({ row, peer, median }) => [row, peer, median]),
      [
        ["shared", "a", 1],
        ["shared", "b", 2],
        ["own", "b", 2],
      ],
    )
    assert.deepEqual(missing, [])
  })

  test("it ends when the time is up, with the results so far", async () => {
    let left = 3
    const { measured } = await measure([await start("a", "{ nanoseconds: [1] }")], plans, 100, () => left-- > 0)
    assert.deepEqual(
      measured.map(({ rounds }) => rounds.length),
      [2, 2],
    )
  })
})

describe("running suites", () => {
  /** A program that ignores the suite's path. */
  const program = (file: string, code: string) => ({ file, command: process.execPath, args: ["-e", code] })
  const limits = { atATime: 2, secondsEach: 60, secondsForAll: 60 }

  test("output and exit are kept in the order of the suites' names", async () => {
    const code = "console.log('ℹ pass 3\\nℹ fail 1'); process.exitCode = 1"
    const ended = await runSuites([program("b.test.js", code), program("a.test.js", "")], limits)
    const [a, b] = ended.map(resultOf)
    assert.deepEqual([a?.file, a?.passed, a?.failed, a?.exitCode], ["a", 0, 0, 0])
    assert.deepEqual([b?.file, b?.passed, b?.failed, b?.exitCode, b?.timedOut], ["b", 3, 1, 1, false])
  })

  test("a suite that takes too long is stopped, and one that cannot start in time is not started", async () => {
    const hangs = "setInterval(() => {}, 1000)"
    const all = { atATime: 1, secondsEach: 5.2, secondsForAll: 6 }
    const [first, second] = await runSuites([program("a.test.js", hangs), program("b.test.js", hangs)], all)
    assert.equal(first?.ended?.timedOut, true)
    assert.equal(second?.ended, undefined)
  })

  test("a sanitizer's errors are read from its output, even if the suite was stopped", () => {
    const ended = (output: string, timedOut = false) => ({ status: 0, timedOut, output, seconds: 9.6 })
    assert.deepEqual(watched(ended("========= ERROR SUMMARY: 2 errors\n")), { errors: 2 })
    const stopped = watched(ended("========= Invalid __global__ read of size 4 bytes\n", true))
    assert.deepEqual(stopped, { errors: 1, unwatched: "was stopped after 10 s" })
    assert.match(watched(ended("no device")).unwatched ?? "", /no summary: no device/)
    assert.match(watched(undefined).unwatched ?? "", /no time/)
  })
})

describe("the summary of a run", () => {
  const row = (name: string, peer: string, median: number, beside = {}): Measured => {
    return { row: name, peer, median, p25: median, p75: median, least: median, most: median, rounds: [median], beside }
  }
  const reportOf = (measured: Measured[], parts: Report["parts"] = []): Report => {
    return {
      date: "2026-11-23T00:00:00Z",
      quick: false,
      rounds: 1,
      machine: {},
      parts,
      absent: [],
      measured,
      missing: [],
    }
  }
  const lineOf = (report: Report, what: string) => goalLines(report).find((line) => line.what.startsWith(what))

  test("a fork-join beyond its launches is compared with C++'s", () => {
    const figures = (forkJoin: number) => [
      row("fork-join-beyond", "auxstream", forkJoin),
      row("fork-join-beyond", "C++", 500),
    ]
    const good = lineOf(reportOf(figures(900)), "fork-join, host time")
    assert.deepEqual(good?.values, { auxstream: "900 ns", "C++": "500 ns" })
    assert.deepEqual([good.ratio, good.goal, good.reached], ["1.80 ×", "≤ 1.8 × C++", true])
    assert.equal(lineOf(reportOf(figures(901)), "fork-join, host time")?.reached, false)
  })

  test("a goal without a figure is neither reached nor missed", () => {
    for (const { what, reached } of goalLines(reportOf([]))) assert.equal(reached, undefined, what)
    assert.match(toMarkdown(reportOf([])), /\| not measured \|/)
  })

  test("the speed-up and its host time come from the workload's rows", () => {
    const report = reportOf([
      row("experts:1:eager:sequential", "auxstream", 60_000),
      row("experts:1:eager:parallel", "auxstream", 50_000, { host: 42_000, bandwidth: 2770 }),
      row("experts:1:eager:main", "auxstream", 40_000),
      row("experts:1:eager:aux", "auxstream", 20_000),
    ])
    const line = lineOf(report, "mixture-of-experts")
    assert.deepEqual([line?.ratio, line?.reached], ["1.20 ×", true])
    assert.equal(lineOf(report, "… of that, host time")?.values["auxstream"], "42 µs")
    const text = toMarkdown(report)
    assert.match(
      text,
      /\| 1, eager \| \*\*auxstream\*\* \| 40 µs \| 20 µs \| 60 µs \| 50 µs \| 1\.20 × \| 1\.25 × \| 42 µs \| 2\.77 TB\/s \|/,
    )
  })

  test("a suite that fails or crashes misses the goal", () => {
    const partOf = (facts: object) =>
      ({ name: "conformance", status: "done", seconds: 1, facts: { ...facts } }) as const
    const good = reportOf([], [partOf({ passed: 9, failed: 0, failing: [] })])
    const bad = reportOf([], [partOf({ passed: 9, failed: 0, failing: ["streams"] })])
    assert.equal(lineOf(good, "conformance")?.reached, true)
    assert.equal(lineOf(bad, "conformance")?.reached, false)
  })

  test("a suite that could not run under a sanitizer is named, and misses the goal", () => {
    const partOf = (unwatched: object, suites: number) => {
      const found = { errors: 0, suites, of: 20, unwatched }
      const facts = { memcheck: found, initcheck: { ...found, errors: 1 } }
      return { name: "sanitizers", status: "done", seconds: 1, facts } as const
    }
    const whole = reportOf([], [partOf({}, 20)])
    const part = reportOf([], [partOf({ "fork-join": "was stopped after 150 s" }, 19)])
    assert.equal(lineOf(whole, "the same under memcheck")?.reached, true)
    assert.equal(lineOf(whole, "the same under initcheck")?.reached, false)
    const line = lineOf(part, "the same under memcheck")
    assert.equal(line?.reached, false)
    assert.match(line.values["auxstream"] ?? "", /0 errors in 19 of 20 suites; fork-join was stopped after 150 s/)
  })

  test("a sanitizer's reports for a correct program are listed beside ours, without a goal", () => {
    const reportWith = (control: object) =>
      reportOf([], [{ name: "sanitizers", status: "done", seconds: 1, facts: { control } }])
    const said = (control: object) => {
      const line = lineOf(reportWith(control), "… initcheck")
      assert.deepEqual([line?.goal, line?.reached], ["", undefined])
      return line?.values
    }
    const found = said({ errors: [0, 288, 0], failed: 1 })
    assert.deepEqual(found, { "C++": "up to 288 errors, some in 1 of 3 runs; 1 failed" })
    assert.deepEqual(said({ unwatched: "no nvcc\nhere" }), { "C++": "no nvcc" })
    assert.deepEqual(lineOf(reportOf([]), "… initcheck")?.values, {})
  })

  test("the host device's goals are compared with figures measured on the same machine", () => {
    const derived = {
      "fork-join: piscina ÷ auxstream, await completed()": 2.9,
      "overlap: kernels of equal work: beside each other ÷ the longer one": 1.08,
    }
    const report = reportOf([], [{ name: "host", status: "done", seconds: 1, facts: { derived } }])
    assert.equal(lineOf(report, "fork-join on the host device")?.reached, false)
    assert.equal(lineOf(report, "overlap on the host device")?.reached, true)
  })
})
