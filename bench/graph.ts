import { captureGraph, maybeExecuteInParallel, openDevice } from "auxstream"
import { type Benchmark, compare, type Contender, ratio } from "./harness.js"
import { increment, once } from "./kernels.js"
import { threads } from "./threads.js"

const name = "graph"
const layers = 32

/** Many small fork-joins, as in a model of many layers: captured once and launched, or queued each time. */
export const graph: Benchmark = {
  name,
  title: `a stack of ${layers} fork-joins of two tiny kernels each: one launch of a graph, or queued anew`,
  async run({ quick }) {
    const operations = quick ? 5 : 50
    const device = openDevice("host", { threads })
    const [a, b] = [device.zeros("int32", 1), device.zeros("int32", 1)]
    const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
    const main = device.defaultStream
    const left = () => increment.launch(once, a)
    const right = () => increment.launch(once, b)
    const eager = () => {
      for (let layer = 0; layer < layers; layer++) maybeExecuteInParallel(left, right, event0, event1, aux)
    }
    const captured = captureGraph(eager, { device })
    const launch = () => captured.launch()

    const [turns, warmUpTurns] = quick ? [3, 1] : [61, 10]
    const comparison = { benchmark: name, unit: "µs", operations, turns, warmUpTurns } as const
    const contenders = (what: string, make: (run: () => void) => Omit<Contender, "name">): Contender[] => [
      { name: `eager, ${what}`, ...make(eager) },
      { name: `graph, ${what}`, ...make(launch) },
    ]
    const untilDone = contenders("until done", (run) => ({
      turn() {
        for (let i = 0; i < operations; i++) {
          run()
          main.synchronize()
        }
      },
    }))
    const hostTime = contenders("host time", (run) => ({
      turn() {
        for (let i = 0; i < operations; i++) run()
      },
      settle: () => main.synchronize(),
    }))
    const rows = [...(await compare(comparison, untilDone)), ...(await compare(comparison, hostTime))]

    check(a.readSync()[0], b.readSync()[0], layers * 4 * operations * (turns + warmUpTurns))
    captured.dispose()
    device.dispose()
    const derived = ["until done", "host time"].map((what) =>
      ratio(rows, `eager ÷ graph, ${what}`, `eager, ${what}`, `graph, ${what}`),
    )
    return { rows, derived }
  },
}

function check(left: number | undefined, right: number | undefined, expected: number): void {
  if (left === expected && right === expected) return
  throw new Error(`The kernels ran ${left} and ${right} times, not ${expected}`)
}
