/** The marks of a time axis: round times, with labels that are as short as their distance allows. */

import { type View, scaleOf, xAt } from "./view.js"

export interface Tick {
  readonly x: number
  readonly label: string
}

/** The marks of a view, at least `distance` pixels apart. */
export function ticksOf(view: View, distance: number): Tick[] {
  const step = stepOf(scaleOf(view) * distance)
  const first = Math.ceil(view.from / step)
  const last = Math.floor(view.to / step)
  const label = labelsOf(Math.max(Math.abs(view.from), Math.abs(view.to)), step)
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => {
    const time = (first + index) * step
    return { x: xAt(view, time), label: label(time) }
  })
}

/** The smallest of 1, 2, 5, 10, … nanoseconds that is not below `least`. */
export function stepOf(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)))
  return [1, 2, 5].map((factor) => factor * power).find((step) => step >= least) ?? 10 * power
}

function labelsOf(most: number, step: number): (time: number) => string {
  const [name, size] = most < 1e3 ? ["ns", 1] : most < 1e6 ? ["µs", 1e3] : most < 1e9 ? ["ms", 1e6] : ["s", 1e9]
  const digits = Math.max(0, Math.ceil(Math.log10(size / step) - 1e-9))
  return (time) => `${(time / size).toFixed(digits).replace(/^-(0(?:\.0+)?)$/, "$1")} ${name}`
}
