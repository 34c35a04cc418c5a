import { openDevice, parallel, withMultiStream, type Device } from "auxstream"
import { matmul } from "auxstream/blas"
import { type Benchmark, compare, type Derived, medianOf, type Row } from "./harness.js"
import { once, spinFor, work } from "./kernels.js"
import { threads } from "./threads.js"

const name = "overlap"

/** Two branches, measured alone and together. */
interface Pair {
  readonly name: string
  readonly branches: readonly [() => void, () => void]
}

/** The part of the shorter branch that runs beside the longer one. */
export const overlap: Benchmark = {
  name,
  title: "two branches beside each other against the longer one alone: 1.00 hides the shorter one whole",
  async run({ quick }) {
    const device = openDevice("host", { threads })
    const scale = quick ? 0.1 : 1
    const pairs = [spinning(scale), working(device, scale), multiplying(device, scale)]
    const rows: Row[] = []
    const derived: Derived[] = []
    for (const pair of pairs) {
      const measured = await measure(device, pair, quick)
      rows.push(...measured)
      derived.push(...figures(pair.name, measured))
    }
    device.dispose()
    return { rows, derived }
  },
}

/** Kernels that wait by the clock: shows the time lost by queueing and by passing work between threads. */
function spinning(scale: number): Pair {
  const milliseconds = 10 * scale
  return {
    name: `kernels of ${milliseconds} ms by the clock`,
    branches: [() => spinFor.launch(once, milliseconds), () => spinFor.launch(once, milliseconds)],
  }
}

/** Kernels that compute: shows what the cores gain. */
function working(device: Device, scale: number): Pair {
  const steps = Math.round(2_000_000 * scale)
  const [a, b] = [device.zeros("float64", 1), device.zeros("float64", 16)]
  return {
    name: "kernels of equal work",
    branches: [() => work.launch(once, steps, a), () => work.launch(once, steps, b)],
  }
}

/** A real pair: two products of the sizes of small expert layers. */
function multiplying(device: Device, scale: number): Pair {
  const [m, n, k] = [Math.round(128 * scale), 1408, 1024]
  const operands = () => ({
    a: device.full("float32", m * k, 0.5),
    b: device.full("float32", k * n, 0.25),
    out: device.empty("float32", m * n),
  })
  const [first, second] = [operands(), operands()]
  return {
    name: `products of ${m}×${k} by ${k}×${n}`,
    branches: [() => matmul({ ...first, m, n, k }), () => matmul({ ...second, m, n, k })],
  }
}

async function measure(device: Device, { name: pair, branches }: Pair, quick: boolean): Promise<Row[]> {
  const contender = (way: string, queue: () => void) => ({
    name: `${pair}, ${way}`,
    turn() {
      queue()
      device.defaultStream.synchronize()
    },
  })
  const [turns, warmUpTurns] = quick ? [2, 1] : [41, 5]
  return compare({ benchmark: name, unit: "ms", operations: 1, turns, warmUpTurns }, [
    contender("the first alone", branches[0]),
    contender("the second alone", branches[1]),
    contender("one after the other", () => void withMultiStream(false, () => parallel(branches))),
    contender("beside each other", () => void parallel(branches)),
  ])
}

function figures(pair: string, rows: readonly Row[]): Derived[] {
  const median = (way: string) => medianOf(rows, `${pair}, ${way}`)
  const longer = Math.max(median("the first alone"), median("the second alone"))
  const together = median("beside each other")
  return [
    { benchmark: name, name: `${pair}: beside each other ÷ the longer one`, value: together / longer, unit: "×" },
    { benchmark: name, name: `${pair}: speed-up`, value: median("one after the other") / together, unit: "×" },
  ]
}
