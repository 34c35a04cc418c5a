/** A device's figures, for people. */
import type { Figure, Measured } from "./measure.js"
import { table } from "./terminal.js"

/** Lines with the figures: the median, and the middle half of the rounds. */
export function figureLines({ launch, forkJoin, graphLaunch, speedup }: Measured): string[] {
  return table([
    ["launch with four arguments", ...cells(launch, "µs")],
    ["fork-join of two empty functions", ...cells(forkJoin, "µs")],
    ["launch of a graph with two branches", ...cells(graphLaunch, "µs")],
    ["two functions of 4 ms, side by side", ...cells(speedup, "×")],
  ])
}

function cells({ median, p25, p75 }: Figure, unit: string): string[] {
  return [`${median.toFixed(2)} ${unit}`, `(${p25.toFixed(2)} to ${p75.toFixed(2)})`]
}
