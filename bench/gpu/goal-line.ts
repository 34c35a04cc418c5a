/** A line of the summary, and how figures are shown there. */

import type { PeerName } from "./peers.js"

/** A line of the summary. */
export interface GoalLine {
  readonly what: string
  /** By name; a peer that does not have it is not in here. */
  readonly values: Readonly<Partial<Record<PeerName, string>>>
  /** Ours ÷ that of the one that the goal names, or whatever the goal limits. */
  readonly ratio: string
  readonly goal: string
  /** Undefined where nothing was to be reached, or something is missing. */
  readonly reached: boolean | undefined
}

/** A quotient of two figures that are there. What noise has brought below nothing is nothing to compare with. */
export function quotient(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined || b <= 0 ? undefined : a / b
}

/** Nanoseconds, in the unit that suits them. Three digits, which is more than such figures are worth. */
export function time(nanoseconds: number): string {
  const size = Math.abs(nanoseconds)
  if (size < 1000) return `${digits(nanoseconds)} ns`
  return size < 1e6 ? `${digits(nanoseconds / 1000)} µs` : `${digits(nanoseconds / 1e6)} ms`
}

const digits = (value: number) =>
  Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))

/** Bytes in a nanosecond. */
export const bandwidth = (value: number): string => `${(value / 1000).toFixed(2)} TB/s`

export function times(value: number | undefined): string {
  return value === undefined ? "" : `${value.toFixed(value < 0.1 ? 3 : 2)} ×`
}
