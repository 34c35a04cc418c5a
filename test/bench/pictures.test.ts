import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, test } from "node:test"
import { gpuPairs, gpuRow, shareRow, shares } from "../../bench/gpu/pieces-names.js"
import type { Measured } from "../../bench/gpu/rounds.js"
import type { Report as GpuReport } from "../../bench/gpu/run.js"
import { toMarkdown } from "../../bench/gpu/summary.js"
import { equalLengths, modes, ratios, unequal, unequalLengths } from "../../bench/pieces-names.js"
import { hostSpeedUp, pictures } from "../../bench/pictures.js"
import type { Report } from "../../bench/report.js"
import { project } from "../examples/run.js"

const read = (name: string): unknown => JSON.parse(readFileSync(join(project, `bench/results/${name}.json`), "utf8"))
const host = read("host-pieces") as Report
const gpu = read("cuda-h200") as GpuReport
const drawn = pictures({ host, gpu, pieces: undefined })

const count = (text: string, part: RegExp) => text.match(part)?.length ?? 0
const marks = (svg: string) => count(svg, /<path class="mark/g)

describe("the pictures of speed-ups", () => {
  test("are all that docs/pictures has, beside the timeline", () => {
    const files = readdirSync(join(project, "docs/pictures")).filter(
      (name) => name !== "timeline.svg" && name !== "auto-parallel.svg",
    )
    assert.deepEqual(
      files
        .map((name) => name.replace(".svg", ""))
        .filter((name) => !drawn.has(name) && !/^(?:pays|share)-h200$/.test(name)),
      [],
    )
    for (const name of drawn.keys()) assert.ok(files.includes(`${name}.svg`), name)
  })

  test("are on the page, each with its values in words", () => {
    const page = readFileSync(join(project, "docs/when-overlap-pays.md"), "utf8")
    for (const [name, { alternative }] of drawn) {
      assert.ok(page.includes(`![${alternative}](pictures/${name}.svg)`), name)
      assert.ok(count(alternative, /\d+\.\d\d ×/g) >= 8, name)
    }
  })

  test("are light or dark, and load nothing", () => {
    for (const [name, { svg }] of drawn) {
      assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 720 \d+"/, name)
      assert.match(svg, /@media \(prefers-color-scheme:dark\)/, name)
      assert.doesNotMatch(svg.replace("http://www.w3.org/2000/svg", ""), /https?:|url\(|@import|href|<script/, name)
      assert.doesNotMatch(svg, /NaN|undefined|Infinity/, name)
    }
  })

  test("have a mark for each value, and one in the legend for each series", () => {
    const of = (name: string) => marks(drawn.get(name)?.svg ?? "")
    assert.equal(of("pays-host"), 2 + 2 * equalLengths.length)
    assert.equal(of("unequal-host"), 4 + 4 * ratios.length)
    // PyTorch measures no products of cuBLAS beside auxstream's own.
    assert.equal(of("workloads-h200"), 4 + 4 * 4 - 2)
    assert.equal(of("experts-h200"), 4 + 4 * 7)
  })

  test("place a greater speed-up higher", () => {
    const [, first = "", last = ""] =
      /class="s s0" d="M[\d.]+ ([\d.]+).*L[\d.]+ ([\d.]+)"/.exec(drawn.get("pays-host")?.svg ?? "") ?? []
    assert.ok(hostSpeedUp(host, [2, 2], "eager").y < hostSpeedUp(host, [20_000, 20_000], "eager").y)
    assert.ok(Number(first) > Number(last))
  })

  test("of a GPU run with pieces are drawn once there is one, and its page has their table", () => {
    const row = (name: string, median: number): Measured => {
      return {
        row: name,
        peer: "auxstream",
        median,
        p25: median,
        p75: median,
        least: median,
        most: median,
        rounds: [],
        beside: {},
      }
    }
    const measured = [
      ...gpuPairs.flatMap((pair) =>
        modes.flatMap((mode) => [
          row(gpuRow(pair, mode, "sequential"), 3000),
          row(gpuRow(pair, mode, "parallel"), 2000),
        ]),
      ),
      ...shares.flatMap((share) => [row(shareRow(share, "sequential"), 4000), row(shareRow(share, "parallel"), 2000)]),
    ]
    const pieces: GpuReport = { ...gpu, measured }
    const both = pictures({ host, gpu, pieces })
    const lengths = gpuPairs.filter(([longer, shorter]) => longer === shorter).length
    assert.equal(marks(both.get("pays-h200")?.svg ?? ""), 2 + 2 * lengths)
    assert.equal(marks(both.get("share-h200")?.svg ?? ""), 1 + shares.length)
    assert.match(toMarkdown(pieces), /\| 2 µs and 2 µs, eager \| 3 µs \| 2 µs \| 1\.50 × \|/)
    assert.match(toMarkdown(pieces), /\| 200 µs, blocks for 100 % of the GPU each \| 4 µs \| 2 µs \| 2\.00 × \|/)
  })
})

/** If one of these fails after a new run, correct the page's sentence. */
describe("docs/when-overlap-pays.md says what the results show", () => {
  const eager = (longer: number, shorter = longer) => hostSpeedUp(host, [longer, shorter], "eager").y
  const onGpu = (workload: string, mode: "eager" | "captured") => {
    const [a = 0, b = 1] = ["sequential", "parallel"].map(
      (way) =>
        gpu.measured.find(({ row, peer }) => row === `${workload}:${mode}:${way}` && peer === "auxstream")?.median,
    )
    return a / b
  }
  const pieceOnGpu = (length: number, mode: (typeof modes)[number]) => {
    const [a = 0, b = 1] = (["sequential", "parallel"] as const).map(
      (way) => gpu.measured.find(({ row }) => row === gpuRow([length, length], mode, way))?.median,
    )
    return a / b
  }

  test("about the break-even on the host", () => {
    assert.ok(eager(5) < 1 && eager(20) > 1.5 && eager(1000) > 1.8)
  })

  test("about unequal branches", () => {
    for (const longer of unequalLengths) {
      const speedUps = ratios.map((times) => eager(...unequal(longer, times)))
      assert.deepEqual(
        speedUps,
        speedUps.toSorted((a, b) => b - a),
      )
    }
    assert.ok(eager(50, 12.5) < 1)
  })

  test("about graphs, launches and large products on an H200", () => {
    assert.ok(onGpu("norms:32", "eager") < 1 && Math.abs(onGpu("norms:32", "captured") - 1.6) < 0.05)
    assert.ok(Math.abs(onGpu("experts:1", "eager") - 1.15) < 0.005)
    const withNineLaunches = onGpu("experts-cublas:1", "eager")
    assert.ok(withNineLaunches > 0.95 && withNineLaunches < 1.26)
    assert.ok(pieceOnGpu(2, "eager") < 1 && pieceOnGpu(5, "eager") > 1.1 && pieceOnGpu(2, "graph") > 1)
    for (const mode of ["eager", "captured"] as const) assert.ok(Math.abs(onGpu("experts:4096", mode) - 1) < 0.02)
  })
})
