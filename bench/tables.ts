/**
 * The tables of README.md and docs/ with figures from bench/results/. Each stands between `<!-- table: NAME -->` and
 * `<!-- end of table -->` and is generated, together with the page beside each result. Never edit one by hand: run
 * `npm run tables`.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, posix } from "node:path"
import { fileURLToPath } from "node:url"
import { benchmarks } from "./benchmarks.js"
import { medianOf } from "./harness.js"
import { quotient, time, times } from "./gpu/goal-line.js"
import { ours, type PeerName, peerNames } from "./gpu/peers.js"
import type { Report as GpuReport } from "./gpu/run.js"
import { table, toMarkdown as gpuPage } from "./gpu/summary.js"
import { hostSpeedUp, microseconds, pictures } from "./pictures.js"
import { equalLengths, modes, nameOfPair, type Pair, pairs, rowName, takenByOthers, ways } from "./pieces-names.js"
import { type Report, show, toMarkdown as hostPage } from "./report.js"

const project = fileURLToPath(new URL("../..", import.meta.url))
const read = (path: string) => readFileSync(join(project, path), "utf8")
const hostReport = (name: string) => JSON.parse(read(`bench/results/${name}.json`)) as Report
const gpuReport = (name: string) => JSON.parse(read(`bench/results/${name}.json`)) as GpuReport

/** Every generated file or file with generated tables, by path, as it must be. */
export function upToDate(): Map<string, string> {
  const pages = ["README.md", ...markdownBelow("docs"), "bench/results/README.md"]
  return new Map([
    ...pages.map((path) => [path, withTables(path, read(path))] as const),
    ...readdirSync(join(project, "bench/results"))
      .filter((name) => name.endsWith(".json"))
      .map((name) => pageOf(name.replace(/\.json$/, ""))),
    ...[...allPictures()].map(([name, { svg }]) => [`docs/pictures/${name}.svg`, svg] as const),
  ])
}

const allPictures = () =>
  pictures({ host: hostReport("host-pieces"), gpu: gpuReport("cuda-h200"), pieces: gpuPieces() })

/** The GPU run that has the part `pieces`: the whole run, or one of that part alone. */
function gpuPieces(): GpuReport | undefined {
  const names = ["cuda-h200", "cuda-h200-pieces"].filter((name) =>
    existsSync(join(project, `bench/results/${name}.json`)),
  )
  return names.map(gpuReport).find(({ measured }) => measured.some(({ row }) => row.startsWith("pieces:")))
}

function markdownBelow(folder: string): string[] {
  const names = readdirSync(join(project, folder), { recursive: true, encoding: "utf8" })
  return names.filter((name) => name.endsWith(".md")).map((name) => `${folder}/${name}`)
}

function pageOf(name: string): readonly [path: string, content: string] {
  const page = name.startsWith("cuda-") ? gpuPage(gpuReport(name)) : hostPage(hostReport(name), benchmarks)
  return [`bench/results/${name}.md`, `${page}\n`]
}

function withTables(path: string, text: string): string {
  return text.replaceAll(
    /(<!-- table: (.+?) -->\n).*?(<!-- end of table -->)/gs,
    (_, begin: string, name: string, end: string) => {
      const make = name.startsWith("picture ") ? () => pictureIn(path, name.slice("picture ".length)) : tables[name]
      if (make === undefined)
        throw new Error(`${path} names the table "${name}"; known: ${Object.keys(tables).join(", ")}`)
      return `${begin}\n${make()}\n\n${end}`
    },
  )
}

/** A picture for a page, with everything that it shows in words. */
function pictureIn(path: string, name: string): string {
  const drawn = allPictures().get(name)
  if (drawn === undefined) throw new Error(`${path} names the picture "${name}", which no result has`)
  return `![${drawn.alternative}](${posix.relative(dirname(path), `docs/pictures/${name}.svg`)})`
}

const tables: Readonly<Record<string, () => string>> = {
  "calls on an H200": () => callsTable(gpuReport("cuda-h200")),
  "speed-ups on an H200": () => speedUpsTable(gpuReport("cuda-h200")),
  "the model on an H200": () => modelTable(gpuReport("cuda-h200")),
  "tasks on the host": () => tasksTable(hostReport("host")),
  "costs on the host": () => costsTable(hostReport("host")),
  "pieces on the host": () => piecesTable(hostReport("host-pieces")),
  "a server on 16 cores": () => serverTable(hostReport("host-16-cores")),
}

/** A figure of a GPU run in nanoseconds, where it was measured. */
function gpuFigure({ measured }: GpuReport, peer: PeerName, row: string): number | undefined {
  return measured.find((found) => found.row === row && found.peer === peer)?.median
}

/** Where and when a GPU run was made. */
function circumstances({ machine, date, rounds }: GpuReport): string {
  const { name, driver_version: driver } = machine["gpu"] as Readonly<Record<string, string | null>>
  return `${name}, driver ${driver}, Node.js ${String(machine["node"])}, ${date.slice(0, 10)}: medians of ${rounds} rounds.`
}

function callsTable(report: GpuReport): string {
  const cell = (row: string) => (peer: PeerName) => {
    const figure = gpuFigure(report, peer, row)
    return figure === undefined ? "" : time(figure)
  }
  const line = (what: string, row: string) => [what, ...peerNames.map(cell(row))]
  const [withNull, bare] = ["null-aux", "two-functions"].map((row) => gpuFigure(report, ours, row))
  const beyond = withNull === undefined || bare === undefined ? "" : time(withNull - bare)
  const figures = table(
    ["host time of the calling thread", ...peerNames],
    [
      line("kernel launch with four arguments", "launch"),
      line("fork-join with a launch in each function", "fork-join"),
      line("of that, beyond the launches", "fork-join-beyond"),
      line("the fork-join, until done", "fork-join-done"),
      line("launch of a graph", "graph-launch"),
      line("the fork-join as a graph, until done", "graph-done"),
      ["`auxStream` null, beyond the two calls", beyond, "", "", "", ""],
    ],
  )
  return `${circumstances(report)}\n\n${figures}`
}

function speedUpsTable(report: GpuReport): string {
  const cell = (peer: PeerName, workload: string, mode: string) => {
    const [sequential, parallel] = ["sequential", "parallel"].map((way) =>
      gpuFigure(report, peer, `${workload}:${mode}:${way}`),
    )
    if (sequential === undefined || parallel === undefined) return ""
    return `${times(quotient(sequential, parallel))} (${time(sequential)} → ${time(parallel)})`
  }
  const line = (what: string, workload: string) => [
    what,
    ...([ours, "PyTorch"] as const).flatMap((peer) => [
      cell(peer, workload, "eager"),
      cell(peer, workload, "captured"),
    ]),
  ]
  return table(
    ["", "eager", "as a graph", "PyTorch, eager", "PyTorch, as a graph"],
    [
      line("mixture-of-experts layer of DeepSeek-V2-Lite, one token", "experts:1"),
      line("the same layer by cuBLAS", "experts-cublas:1"),
      line("query norm beside key norm of DeepSeek-R1, 32 rows", "norms:32"),
      line("LoRA of rank 64 beside 4096 × 11008, 32 rows", "lora:64"),
    ],
  )
}

function modelTable({ parts }: GpuReport): string {
  const facts = parts.find(({ name }) => name === "main-job")?.facts as
    | { readonly report?: { readonly milliseconds?: Readonly<Record<string, number>> } }
    | undefined
  const cell = (name: string) => {
    const figure = facts?.report?.milliseconds?.[name]
    return figure === undefined ? "" : `${show(figure)} ms`
  }
  return table(
    ["", "in sequence", "side by side"],
    [
      ["eager", cell("sequential"), cell("parallel")],
      ["as a graph", cell("capturedSequential"), cell("capturedParallel")],
    ],
  )
}

/** A benchmark's figures in the report, by their names. */
function figures({ rows, derived }: Report, benchmark: string) {
  const find = (name: string) => {
    const row = rows.find((row) => row.benchmark === benchmark && row.name === name)
    if (row !== undefined) return { value: row.median, unit: row.unit }
    const figure = derived.find((figure) => figure.benchmark === benchmark && figure.name === name)
    if (figure === undefined) throw new Error(`the results lack "${name}" of the benchmark "${benchmark}"`)
    return figure
  }
  return (...names: string[]) =>
    names
      .map((name) => {
        const { value, unit } = find(name)
        return `${show(value)} ${unit}`
      })
      .join("; ")
}

/** A derived figure by its name. */
function valueOf({ derived }: Report, name: string): number {
  return derived.find((figure) => figure.name === name)?.value ?? NaN
}

function tasksTable(report: Report): string {
  const peers = ["piscina", "tinypool", "postMessage"]
  const [once, many] = ["fork-join", "queued"].map((benchmark) => figures(report, benchmark))
  if (once === undefined || many === undefined) return ""
  const line = (what: string, of: typeof once, name: string) => [what, of(name), ...peers.map((peer) => of(peer))]
  return table(
    ["until done", "auxstream", "piscina", "tinypool", "bare `postMessage`"],
    [
      line("two tiny pieces side by side, then wait", once, "auxstream, synchronize()"),
      line("the same, awaited as a promise", once, "auxstream, await completed()"),
      line("a thousand of them at once, each", many, "auxstream"),
    ],
  )
}

function costsTable(report: Report): string {
  const of = (benchmark: string, ...names: string[]) => figures(report, benchmark)(...names)
  const products = "products of 128×1024 by 1024×1408: beside each other ÷ the longer one"
  return table(
    ["what", "cost"],
    [
      [
        "queueing a launch with one argument; with four",
        of("queueing", "launch, one argument", "launch, four arguments"),
      ],
      ["recording an event", of("queueing", "record")],
      [
        "a wait that is sent; one that is skipped",
        of("queueing", "wait that is sent", "wait that adds nothing (elided)"),
      ],
      ["a fork-join of two tiny kernels until done, blocking", of("fork-join", "auxstream, synchronize()")],
      ["the same with `await completed()`", of("fork-join", "auxstream, await completed()")],
      ["the same, 1000 queued and waited for once, each", of("queued", "auxstream")],
      ["a stack of 32 fork-joins until done; as a graph", of("graph", "eager, until done", "graph, until done")],
      ["the same, host time only", of("graph", "eager, host time", "graph, host time")],
      [
        "two kernels of 10 ms side by side ÷ the longer one",
        of("overlap", "kernels of equal work: beside each other ÷ the longer one"),
      ],
      ["two products of 128 × 1024 by 1024 × 1408 side by side ÷ the longer one", of("overlap", products)],
      [
        "`maybeExecuteInParallel` without an aux stream, beyond the two calls",
        of("disabled-path", "auxStream null, beyond the two calls"),
      ],
      [
        "opening the device, waiting for a first launch, and disposing of the device",
        of("open-dispose", "open, launch, synchronize, dispose"),
      ],
    ],
  )
}

function serverTable(report: Report): string {
  const of = figures(report, "server")
  const line = (what: string, name: string) => [what, of(name), of(`${name}: longest delay of the event loop`)]
  return table(
    ["", "a request", "longest delay of the event loop"],
    [
      line("two streams for each request", "two streams for each request"),
      line("`parallel()` on the pool", "parallel() on the pool"),
      line("inline on the event loop", "inline on the event loop"),
    ],
  )
}

/** Other processes disturb a measurement if they take more than so many percent of the machine. */
const DISTURBED = 5

/** What equal pieces take, and from which length on side by side is faster. */
function piecesTable(report: Report): string {
  const { cpu, cores, versions, date } = report
  const taken = pairs.map((pair) => ({ pair, share: valueOf(report, takenByOthers(pair)) }))
  const most = Math.max(...taken.filter(({ share }) => share <= DISTURBED).map(({ share }) => share))
  const disturbed = taken
    .filter(({ share }) => share > DISTURBED)
    .map(({ pair, share }) => `, but ${show(share)} % during the pair of ${nameOfPair(pair)}`)
  const where = `${cores} cores of ${cpu}, Node.js ${versions.node}, ${date.slice(0, 10)}`
  const noise = `Other processes took at most ${show(most)} % of the machine while a pair was measured${disturbed.join("")}.`
  const lines = equalLengths.map((length) => {
    const pair: Pair = [length, length]
    return [
      `2 × ${microseconds(length)}`,
      ...modes.flatMap((mode) => [
        ...ways.map((way) => time(1000 * medianOf(report.rows, rowName(pair, mode, way)))),
        times(hostSpeedUp(report, pair, mode).y),
      ]),
    ]
  })
  const head = modes.flatMap((mode) => [`${mode}, in sequence`, "side by side", "speed-up"])
  return `${where}, medians. ${noise}\n\n${table(["", ...head], lines)}`
}
