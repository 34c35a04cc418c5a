/** Times, sizes and shares as text. No-break spaces keep numbers and units on one line. */

const UNITS = [
  { name: "s", size: 1e9 },
  { name: "ms", size: 1e6 },
  { name: "µs", size: 1e3 },
  { name: "ns", size: 1 },
] as const

const unitOf = (nanoseconds: number) =>
  UNITS.find(({ size }) => Math.abs(nanoseconds) >= size) ?? { name: "ns", size: 1 }

/** A length of time with three digits: `"12.3 µs"`. */
export function formatTime(nanoseconds: number): string {
  const unit = unitOf(nanoseconds)
  const value = nanoseconds / unit.size
  const digits = unit.size === 1 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1))))
  return `${value.toFixed(digits)}\u00a0${unit.name}`
}

/** A time to the nanosecond: `"1.234567 ms"`. */
export function formatExactly(nanoseconds: number): string {
  const unit = unitOf(nanoseconds)
  return `${(nanoseconds / unit.size).toFixed(Math.log10(unit.size))}\u00a0${unit.name}`
}

/** A number with thousands apart: `"100 000"`. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replaceAll(/\B(?=(?:\d{3})+$)/g, "\u202f")
}

/** A share of 1: `"62 %"`. */
export function formatShare(share: number): string {
  const percent = share * 100
  return `${percent > 0 && percent < 9.95 ? percent.toFixed(1) : percent.toFixed(0)}\u00a0%`
}

/** A number of bytes: `"1.5 MiB"`. */
export function formatBytes(bytes: number): string {
  const power = Math.min(4, Math.floor(Math.log2(Math.max(bytes, 1)) / 10))
  const value = bytes / 1024 ** power
  return `${power === 0 ? value : value.toFixed(value < 10 ? 1 : 0)}\u00a0${["B", "KiB", "MiB", "GiB", "TiB"][power]}`
}

/** `"1 wait"`, `"2 waits"`. */
export function formatNumberOf(count: number, singular: string, plural = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : plural}`
}
