import assert from "node:assert/strict"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, test } from "node:test"
import { fileURLToPath } from "node:url"
import type { Report } from "../../bench/report.js"
import { project, runScript } from "./run.js"

const bench = fileURLToPath(new URL("../../bench/main.js", import.meta.url))
const kept = () => readdirSync(join(project, "bench/results")).toSorted()

describe("the benchmark", () => {
  test("prints its figures as JSON with their circumstances, and does not store a quick run", () => {
    const before = kept()
    const { exitCode, output } = runScript(bench, "--quick", "--json", "--only", "fork-join,disabled-path,pieces")
    assert.equal(exitCode, 0)
    const report = JSON.parse(output) as Report
    const { date, device, cpu, cores, threads, versions, quick, others, rows, derived } = report
    assert.ok(!Number.isNaN(Date.parse(date)))
    assert.ok(device.length > 0 && cpu.length > 0 && cores >= 1 && threads >= 2)
    assert.equal(quick, true)
    assert.ok(others >= 0 && others <= 1)
    assert.equal(versions.node, process.versions.node)
    for (const peer of ["auxstream", "piscina", "tinypool"] as const) assert.match(versions[peer], /^\d+\.\d+\.\d+/)

    assert.deepEqual(
      rows.map(({ benchmark, name, unit }) => `${benchmark}: ${name}, ${unit}`),
      [
        "fork-join: auxstream, synchronize(), µs",
        "fork-join: auxstream, await completed(), µs",
        "fork-join: piscina, µs",
        "fork-join: tinypool, µs",
        "fork-join: postMessage, µs",
        "disabled-path: two calls, ns",
        "disabled-path: auxStream null, ns",
        "disabled-path: two calls, inside stream.run(), ns",
        "disabled-path: auxStream null, inside stream.run(), ns",
        "pieces: 2 µs and 2 µs, eager, in sequence, µs",
        "pieces: 2 µs and 2 µs, eager, side by side, µs",
        "pieces: 2 µs and 2 µs, graph, in sequence, µs",
        "pieces: 2 µs and 2 µs, graph, side by side, µs",
      ],
    )
    for (const { p25, median, p75, turns } of rows) {
      assert.ok(0 < p25 && p25 <= median && median <= p75 && turns >= 2)
    }
    assert.ok(derived.some(({ name, unit }) => name === "piscina ÷ auxstream, synchronize()" && unit === "×"))
    assert.ok(derived.every(({ value }) => Number.isFinite(value)))
    assert.deepEqual(kept(), before)
  })

  test("prints a table for people", () => {
    const { exitCode, output } = runScript(bench, "--quick", "--only", "open-dispose")
    assert.equal(exitCode, 0)
    assert.match(output, /^Measured on \d+ cores? of .+, Node\.js \d+/)
    assert.match(output, /\| open, dispose \| \S+ ms \| \S+ … \S+ \|/)
  })

  for (const [what, args, sentence] of [
    ["an unknown benchmark", ["--only", "fork-joins"], /--only must name benchmarks: fork-join, .+; got "fork-joins"/],
    ["an option that is none", ["--quik"], /--quik/],
  ] as const) {
    test(`reports a user error in one sentence, and exits with 2: ${what}`, () => {
      const { exitCode, errors } = runScript(bench, ...args)
      assert.equal(exitCode, 2)
      assert.match(errors, sentence)
      assert.equal(errors.trimEnd().split("\n").length, 1)
    })
  }
})
