/**
 * Compares ways of doing the same thing. Every contender is warmed up. Then they alternate, so that other load on the
 * machine affects all alike. A figure is the median over the turns; its spread is the middle half of them.
 */

/** How much is measured. */
export interface Settings {
  /** Only checks that everything runs. */
  readonly quick: boolean
}

/** One of the ways that a benchmark compares. */
export interface Contender {
  readonly name: string
  /** Prepares a turn. */
  readonly prepare?: () => void
  /** One turn, the only timed part. It ends when it returns, or when its promise settles. */
  readonly turn: () => void | Promise<void>
  /** Cleans up after a turn. */
  readonly settle?: () => void | Promise<void>
}

/** The length of one unit in milliseconds. */
const milliseconds = { ns: 1e-6, µs: 1e-3, ms: 1 } as const

/** The unit of a row's figures. */
export type Unit = keyof typeof milliseconds | "MB"

/** One measured figure with its spread. */
export interface Row {
  readonly benchmark: string
  readonly name: string
  readonly unit: Unit
  readonly median: number
  readonly p25: number
  readonly p75: number
  /** The number of turns. */
  readonly turns: number
}

/** A figure computed from the rows. */
export interface Derived {
  readonly benchmark: string
  readonly name: string
  readonly value: number
  readonly unit: Unit | "×" | "%"
}

/** The result of a benchmark. */
export interface Findings {
  readonly rows: readonly Row[]
  readonly derived: readonly Derived[]
}

/** One file of this folder. */
export interface Benchmark {
  /** Its name for `--only`. */
  readonly name: string
  /** What it measures, in one line. */
  readonly title: string
  run(settings: Settings): Promise<Findings>
}

/** The settings of a comparison. */
export interface Comparison {
  readonly benchmark: string
  readonly unit: keyof typeof milliseconds
  /** The number of operations of a contender in a turn. Figures are for one operation. */
  readonly operations: number
  readonly turns: number
  readonly warmUpTurns: number
}

/** Measures contenders alternately. */
export async function compare(comparison: Comparison, contenders: readonly Contender[]): Promise<Row[]> {
  const { benchmark, unit, operations, turns, warmUpTurns } = comparison
  const samples = contenders.map((): number[] => [])
  for (let round = -warmUpTurns; round < turns; round++) {
    for (let place = 0; place < contenders.length; place++) {
      // Each round starts with another contender, and each follows different garbage.
      const index = (place + Math.max(0, round)) % contenders.length
      const taken = await timeTurn(contenders[index])
      if (round >= 0) samples[index]?.push(taken / operations / milliseconds[unit])
    }
  }
  return contenders.map(({ name }, index) => rowOf(benchmark, name, unit, samples[index] ?? []))
}

async function timeTurn(contender: Contender | undefined): Promise<number> {
  contender?.prepare?.()
  const started = performance.now()
  const promise = contender?.turn()
  if (promise !== undefined) await promise
  const taken = performance.now() - started
  await contender?.settle?.()
  return taken
}

/** The figure of a list of samples. */
export function rowOf(benchmark: string, name: string, unit: Unit, samples: readonly number[]): Row {
  const sorted = samples.toSorted((a, b) => a - b)
  const quantile = (q: number) => {
    const at = q * (sorted.length - 1)
    const [below, above] = [sorted[Math.floor(at)] ?? 0, sorted[Math.ceil(at)] ?? 0]
    return below + (above - below) * (at - Math.floor(at))
  }
  return {
    benchmark,
    name,
    unit,
    median: quantile(0.5),
    p25: quantile(0.25),
    p75: quantile(0.75),
    turns: samples.length,
  }
}

/** The median of a contender, by name. */
export function medianOf(rows: readonly Row[], name: string): number {
  const row = rows.find((row) => row.name === name)
  if (row === undefined) throw new Error(`Nothing called ${name} was measured`)
  return row.median
}

/** The quotient of two contenders' times. */
export function ratio(rows: readonly Row[], name: string, of: string, to: string): Derived {
  const value = medianOf(rows, of) / medianOf(rows, to)
  return { benchmark: rows[0]?.benchmark ?? "", name, value, unit: "×" }
}

/** The difference of two contenders' times. */
export function difference(rows: readonly Row[], name: string, of: string, to: string): Derived {
  const [first] = rows
  return {
    benchmark: first?.benchmark ?? "",
    name,
    value: medianOf(rows, of) - medianOf(rows, to),
    unit: first?.unit ?? "ms",
  }
}
