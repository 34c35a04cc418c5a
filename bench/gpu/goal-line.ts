/** A line of the summary, and the format of its figures. */

import type { PeerName } from "./peers.js"

/** A line of the summary. */
export interface GoalLine {
  readonly what: string
  /** By name. A peer without this figure is missing. */
  readonly values: Readonly<Partial<Record<PeerName, string>>>
  /** Our figure ÷ that of the peer that the goal names, or another figure that the goal limits. */
  readonly ratio: string
  readonly goal: string
  /** Undefined if there is no goal or a figure is missing. */
  readonly reached: boolean | undefined
}

/** The quotient of two figures; undefined if one is missing, or not positive because of noise. */
export function quotient(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined || b <= 0 ? undefined : a / b
}

/** Nanoseconds in a suitable unit, with three digits, which is already more than their precision. */
export function time(nanoseconds: number): string {
  const size = Math.abs(nanoseconds)
  if (size < 1000) return `${digits(nanoseconds)} ns`
  return size < 1e6 ? `${digits(nanoseconds / 1000)} µs` : `${digits(nanoseconds / 1e6)} ms`
}

const digits = (value: number) =>
  Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))

/** Bytes per nanosecond. */
export const bandwidth = (value: number): string => `${(value / 1000).toFixed(2)} TB/s`

export function times(value: number | undefined): string {
  return value === undefined ? "" : `${value.toFixed(value < 0.1 ? 3 : 2)} ×`
}
