/**
 * Measures ways of doing the same thing side by side: every contender is warmed up, then all take turns, so that what
 * else the machine does meets all alike. A figure is the median over the turns, its spread the middle half of them.
 */

/** How much is measured. */
export interface Settings {
  /** Only shows that everything runs. */
  readonly quick: boolean
}

/** A way of doing what a benchmark compares. */
export interface Contender {
  readonly name: string
  /** One turn; only this is timed. It is done when it returns, or when its promise settles. */
  readonly turn: () => void | Promise<void>
  /** Puts things back in order after a turn. */
  readonly settle?: () => void
}

/** How long one unit is, in milliseconds. */
const milliseconds = { ns: 1e-6, µs: 1e-3, ms: 1 } as const

/** What a row's figures are in. */
export type Unit = keyof typeof milliseconds | "MB"

/** One measured figure with its spread. */
export interface Row {
  readonly benchmark: string
  readonly name: string
  readonly unit: Unit
  readonly median: number
  readonly p25: number
  readonly p75: number
  /** How many turns it is of. */
  readonly turns: number
}

/** A figure that follows from the rows. */
export interface Derived {
  readonly benchmark: string
  readonly name: string
  readonly value: number
  readonly unit: Unit | "×"
}

/** What a benchmark found. */
export interface Findings {
  readonly rows: readonly Row[]
  readonly derived: readonly Derived[]
}

/** One file of this folder. */
export interface Benchmark {
  /** What `--only` takes. */
  readonly name: string
  /** What it measures, in one line. */
  readonly title: string
  run(settings: Settings): Promise<Findings>
}

/** How a comparison is made. */
export interface Comparison {
  readonly benchmark: string
  readonly unit: keyof typeof milliseconds
  /** How many operations each contender does in a turn. Figures are for one. */
  readonly operations: number
  readonly turns: number
  readonly warmUpTurns: number
}

/** Measures contenders in turns. */
export async function compare(comparison: Comparison, contenders: readonly Contender[]): Promise<Row[]> {
  const { benchmark, unit, operations, turns, warmUpTurns } = comparison
  const samples = contenders.map((): number[] => [])
  for (let round = -warmUpTurns; round < turns; round++) {
    for (let place = 0; place < contenders.length; place++) {
      // Nobody always comes first, or always behind the same one's garbage.
      const index = (place + Math.max(0, round)) % contenders.length
      const taken = await timeTurn(contenders[index])
      if (round >= 0) samples[index]?.push(taken / operations / milliseconds[unit])
    }
  }
  return contenders.map(({ name }, index) => rowOf(benchmark, name, unit, samples[index] ?? []))
}

async function timeTurn(contender: Contender | undefined): Promise<number> {
  const started = performance.now()
  const promise = contender?.turn()
  if (promise !== undefined) await promise
  const taken = performance.now() - started
  contender?.settle?.()
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

/** How many times longer one contender takes than another. */
export function ratio(rows: readonly Row[], name: string, of: string, to: string): Derived {
  const value = medianOf(rows, of) / medianOf(rows, to)
  return { benchmark: rows[0]?.benchmark ?? "", name, value, unit: "×" }
}

/** How much longer one contender takes than another. */
export function difference(rows: readonly Row[], name: string, of: string, to: string): Derived {
  const [first] = rows
  return {
    benchmark: first?.benchmark ?? "",
    name,
    value: medianOf(rows, of) - medianOf(rows, to),
    unit: first?.unit ?? "ms",
  }
}
