/** Measures a device in a few seconds: what queueing costs the host, and how much two functions overlap. */
import { performance } from "node:perf_hooks"
import { captureGraph, type Device, maybeExecuteInParallel } from "../index.js"
import { spin, touch } from "./kernels.js"

/** A median of several rounds, with the middle half of them. */
export interface Figure {
  readonly median: number
  readonly p25: number
  readonly p75: number
}

/** Times are microseconds of the host's thread. */
export interface Measured {
  /** A launch with four arguments. */
  readonly launch: Figure
  /** A fork-join of two empty functions. */
  readonly forkJoin: Figure
  /** A launch of a graph with two branches. */
  readonly graphLaunch: Figure
  /** How many times faster two equally long functions ran side by side than in sequence; 2 at most. */
  readonly speedup: Figure
}

/** Milliseconds of each of the two functions. */
const LENGTH = 4
const once = { grid: 1, block: 1 } as const

/** @param rounds more rounds are slower and steadier */
export async function measure(device: Device, rounds: number): Promise<Measured> {
  await Promise.all([touch.prepare(device), spin.prepare(device)])
  const [x, y] = [device.zeros("float32", 1), device.zeros("float32", 1)]
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const launch = () => touch.launch(once, 1, 1, x, y)
  const nothing = () => {}
  const both = (fn: () => void, stream: typeof aux | null) => maybeExecuteInParallel(fn, fn, event0, event1, stream)
  const graph = captureGraph(() => both(launch, aux), { device })
  try {
    return {
      launch: await repeat(device, rounds, 500, launch),
      forkJoin: await repeat(device, rounds, 500, () => both(nothing, aux)),
      graphLaunch: await repeat(device, rounds, 200, () => graph.launch()),
      speedup: await speedupOf(device, rounds, (isParallel) =>
        both(() => spin.launch(once, LENGTH), isParallel ? aux : null),
      ),
    }
  } finally {
    for (const owner of [graph, x, y, event0, event1, aux]) owner.dispose()
  }
}

/** Microseconds of the host's thread for one call. */
async function repeat(device: Device, rounds: number, calls: number, call: () => void): Promise<Figure> {
  const samples: number[] = []
  for (let round = -1; round < rounds; round++) {
    const start = performance.now()
    for (let index = 0; index < calls; index++) call()
    if (round >= 0) samples.push(((performance.now() - start) * 1000) / calls)
    await device.completed()
  }
  return figure(samples)
}

async function speedupOf(device: Device, rounds: number, run: (isParallel: boolean) => void): Promise<Figure> {
  const time = async (isParallel: boolean): Promise<number> => {
    const start = performance.now()
    run(isParallel)
    await device.completed()
    return performance.now() - start
  }
  const samples: number[] = []
  for (let round = -1; round < rounds; round++) {
    const sequential = await time(false)
    const parallel = await time(true)
    if (round >= 0) samples.push(sequential / parallel)
  }
  return figure(samples)
}

function figure(samples: readonly number[]): Figure {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? NaN
  return { median: at(0.5), p25: at(0.25), p75: at(0.75) }
}
