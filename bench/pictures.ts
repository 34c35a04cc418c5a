/**
 * The pictures of docs/when-overlap-pays.md: speed-ups from bench/results/. Never edit one by hand: run `npm run tables`. What no
 * result has is not drawn.
 */

import { type Drawn, drawDots, drawLines, type Point, type Series } from "./chart.js"
import { ours, type PeerName } from "./gpu/peers.js"
import { gpuPairs, gpuRow, shareRow, shares } from "./gpu/pieces-names.js"
import type { Report as GpuReport } from "./gpu/run.js"
import { equalLengths, modes, type Pair, ratios, rowName, unequal, unequalLengths } from "./pieces-names.js"
import type { Report } from "./report.js"

/** The results that the pictures show. `pieces` is a GPU run with the part of that name, if there is one. */
export interface Results {
  readonly host: Report
  readonly gpu: GpuReport
  readonly pieces: GpuReport | undefined
}

/** Each picture by its name: docs/pictures/NAME.svg. */
export function pictures({ host, gpu, pieces }: Results): Map<string, Drawn> {
  const drawn: [name: string, picture: Drawn][] = [
    ["pays-host", hostLengths(host)],
    ["unequal-host", hostUnequal(host)],
    ["experts-h200", experts(gpu)],
    ["workloads-h200", workloads(gpu)],
  ]
  if (pieces !== undefined) drawn.push(["pays-h200", gpuLengths(pieces)], ["share-h200", gpuShares(pieces)])
  return new Map(drawn)
}

/** The median in sequence ÷ the median side by side; the bar is the middle half of the times side by side. */
export function hostSpeedUp({ rows }: Report, pair: Pair, mode: (typeof modes)[number]): Omit<Point, "x"> {
  const of = (way: "in sequence" | "side by side") => {
    const row = rows.find(({ name }) => name === rowName(pair, mode, way))
    if (row === undefined) throw new Error(`the results lack "${rowName(pair, mode, way)}"`)
    return row
  }
  const [sequence, together] = [of("in sequence").median, of("side by side")]
  return { y: sequence / together.median, low: sequence / together.p75, high: sequence / together.p25 }
}

export const microseconds = (length: number) => (length < 1000 ? `${length} µs` : `${length / 1000} ms`)
const lengthTicks = (lengths: readonly number[]) =>
  lengths.map((at) => ({ at, text: microseconds(at), isNamed: !String(at).startsWith("5") }))

function hostLengths(host: Report): Drawn {
  return drawLines({
    title: "Two equal kernels side by side, on the host device with two threads",
    label: "length of each kernel",
    ticks: lengthTicks(equalLengths),
    speedUps: { from: 0, to: 2.25, step: 0.25 },
    series: modes.map((mode) => ({
      name: named[mode],
      points: equalLengths.map((length) => ({ x: length, ...hostSpeedUp(host, [length, length], mode) })),
    })),
  })
}

const named = { eager: "eager", graph: "as a graph" } as const

function hostUnequal(host: Report): Drawn {
  const measured = unequalLengths.flatMap((longer) =>
    modes.map((mode): Series => {
      return {
        name: `${microseconds(longer)}, ${named[mode]}`,
        points: ratios.map((times) => ({ x: times, y: hostSpeedUp(host, unequal(longer, times), mode).y })),
      }
    }),
  )
  const ideal: Series = {
    name: "ideal",
    points: ratios.map((times) => ({ x: times, y: 1 + 1 / times })),
    isGuide: true,
  }
  return drawLines({
    title: "Kernels of unequal length side by side, on the host device with two threads",
    label: "the longer kernel takes so many times the time of the shorter one",
    ticks: ratios.map((at) => ({ at, text: `${at} : 1` })),
    speedUps: { from: 0.5, to: 2.25, step: 0.25 },
    series: [...measured, ideal],
  })
}

/** A workload's speed-up in a GPU run. */
function gpuSpeedUp({ measured }: GpuReport, peer: PeerName, row: (way: "sequential" | "parallel") => string) {
  const [sequential, parallel] = (["sequential", "parallel"] as const).map(
    (way) => measured.find((found) => found.peer === peer && found.row === row(way))?.median,
  )
  return sequential === undefined || parallel === undefined ? undefined : sequential / parallel
}

const contenders = [
  { name: "eager", peer: ours, mode: "eager" },
  { name: "as a graph", peer: ours, mode: "captured" },
  { name: "PyTorch, eager", peer: "PyTorch", mode: "eager" },
  { name: "PyTorch, as a graph", peer: "PyTorch", mode: "captured" },
] as const

function experts(gpu: GpuReport): Drawn {
  const tokens = [1, 4, 16, 64, 256, 1024, 4096]
  return drawLines({
    title: "Shared expert beside routed experts, DeepSeek-V2-Lite, on an H200",
    label: "tokens",
    ticks: tokens.map((at) => ({ at, text: String(at) })),
    speedUps: { from: 0.7, to: 1.3, step: 0.1 },
    series: contenders.map(({ name, peer, mode }) => ({
      name,
      points: tokens.flatMap((x) => {
        const y = gpuSpeedUp(gpu, peer, (way) => `experts:${x}:${mode}:${way}`)
        return y === undefined ? [] : [{ x, y }]
      }),
    })),
  })
}

function workloads(gpu: GpuReport): Drawn {
  const rows = [
    ["query norm beside key norm, 32 rows", "norms:32"],
    ["LoRA of rank 64 beside its projection", "lora:64"],
    ["experts, one token, five launches", "experts:1"],
    ["experts, one token, cuBLAS: nine launches", "experts-cublas:1"],
  ] as const
  return drawDots({
    title: "Small pieces on an H200: eager against graph",
    rows: rows.map(([name]) => name),
    speedUps: { from: 0.25, to: 1.75, step: 0.25 },
    series: contenders.map(({ name, peer, mode }) => ({
      name,
      points: rows.flatMap(([, workload], x) => {
        const y = gpuSpeedUp(gpu, peer, (way) => `${workload}:${mode}:${way}`)
        return y === undefined ? [] : [{ x, y }]
      }),
    })),
  })
}

const gpuLengthsMeasured = gpuPairs.filter(([longer, shorter]) => longer === shorter).map(([length]) => length)

function gpuLengths(gpu: GpuReport): Drawn {
  return drawLines({
    title: "Two equal kernels side by side, on an H200, on half the multiprocessors each",
    label: "length of each kernel",
    ticks: lengthTicks(gpuLengthsMeasured),
    speedUps: { from: 0, to: 2.25, step: 0.25 },
    series: modes.map((mode) => ({
      name: named[mode],
      points: gpuLengthsMeasured.flatMap((x) => {
        const y = gpuSpeedUp(gpu, ours, (way) => gpuRow([x, x], mode, way))
        return y === undefined ? [] : [{ x, y }]
      }),
    })),
  })
}

function gpuShares(gpu: GpuReport): Drawn {
  return drawLines({
    title: "Two kernels of 200 µs side by side, on an H200, by the blocks that each one has",
    label: "blocks of each kernel, in percent of those that the GPU runs at a time",
    ticks: shares.map((at) => ({ at, text: `${at} %` })),
    speedUps: { from: 0, to: 2.25, step: 0.25 },
    series: [
      {
        name: "eager",
        points: shares.flatMap((x) => {
          const y = gpuSpeedUp(gpu, ours, (way) => shareRow(x, way))
          return y === undefined ? [] : [{ x, y }]
        }),
      },
    ],
  })
}
