/** The part of the time that is in view, and how it is moved. Views never change; each function returns another one. */

/** A range of time, in nanoseconds, drawn over a width, in pixels. */
export interface View {
  readonly from: number
  readonly to: number
  readonly width: number
}

/** How far a view may be moved: over the trace with a margin, and down to this many nanoseconds. */
export interface Limits {
  readonly start: number
  readonly end: number
  readonly shortest: number
}

export const timeAt = (view: View, x: number): number => view.from + (x / view.width) * (view.to - view.from)
export const xAt = (view: View, time: number): number => ((time - view.from) / (view.to - view.from)) * view.width
/** Nanoseconds of one pixel. */
export const scaleOf = (view: View): number => (view.to - view.from) / view.width

/** The limits of a trace. A margin of a fiftieth keeps its ends away from the edges. */
export function limitsOf(start: number, end: number): Limits {
  const length = Math.max(end - start, 1)
  return { start: start - length / 50, end: end + length / 50, shortest: Math.min(100, length) }
}

/** The whole trace. */
export function fit(limits: Limits, width: number): View {
  return { from: limits.start, to: limits.end, width }
}

/** Zooms so that the time under a pixel stays there. A factor above 1 shows less time. */
export function zoom(view: View, factor: number, x: number, limits: Limits): View {
  const length = clamp((view.to - view.from) / factor, limits.shortest, limits.end - limits.start)
  const from = timeAt(view, x) - (x / view.width) * length
  return within({ from, to: from + length, width: view.width }, limits)
}

/** Moves the view by a number of pixels; to the right if it is positive. */
export function pan(view: View, pixels: number, limits: Limits): View {
  const by = pixels * scaleOf(view)
  return within({ from: view.from + by, to: view.to + by, width: view.width }, limits)
}

/** Shows a range in the middle, with as much time around it as `share` says: 0.6 gives the range 60 % of the width. */
export function show(view: View, start: number, end: number, limits: Limits, share = 0.6): View {
  const length = clamp((end - start) / share, limits.shortest, limits.end - limits.start)
  const from = (start + end - length) / 2
  return within({ from, to: from + length, width: view.width }, limits)
}

/** Moves the view, without zooming, if a range is not in it; zooms out if the range is longer than the view. */
export function reveal(view: View, start: number, end: number, limits: Limits): View {
  if (start >= view.from && end <= view.to) return view
  if (end - start > view.to - view.from) return show(view, start, end, limits, 0.9)
  const middle = (start + end) / 2
  const half = (view.to - view.from) / 2
  return within({ from: middle - half, to: middle + half, width: view.width }, limits)
}

function within(view: View, { start, end }: Limits): View {
  const length = Math.min(view.to - view.from, end - start)
  const from = clamp(view.from, start, end - length)
  return { from, to: from + length, width: view.width }
}

const clamp = (value: number, least: number, most: number) => Math.max(least, Math.min(value, most))
