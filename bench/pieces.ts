import { captureGraph, type Device, type Graph, maybeExecuteInParallel, openDevice, type Stream } from "auxstream"
import { OtherProcesses } from "../examples/moe/other-processes.js"
import { type Benchmark, compare, type Contender, type Derived, ratio, type Row, type Settings } from "./harness.js"
import { once, spinFor } from "./kernels.js"
import { modes, nameOfPair, type Pair, pairs, rowName, takenByOthers, ways } from "./pieces-names.js"
import { threads } from "./threads.js"

const name = "pieces"

/** A turn takes about this long in sequence, and has from 1 to 32 fork-joins. */
const TURN_MICROSECONDS = 8000
const MOST_LAYERS = 32

/** A pair is measured again, for at most so many milliseconds, while other processes take more than this share of the machine. */
const PATIENCE = 30_000
const CALM = 0.02

/**
 * From which length on overlap pays: fork-joins of two kernels that take a given time by the clock, and do nothing else. They
 * show what a fork-join costs, and nothing of what two kernels cost each other.
 */
export const pieces: Benchmark = {
  name,
  title: "one of a stack of fork-joins of two kernels by the clock, until done: from which length on overlap pays",
  async run(settings) {
    const device = openDevice("host", { threads })
    const rows: Row[] = []
    const derived: Derived[] = []
    for (const pair of settings.quick ? pairs.slice(0, 1) : pairs) {
      const { measured, others } = await calmest(device, pair, settings)
      rows.push(...measured)
      derived.push({ benchmark: name, name: takenByOthers(pair), value: 100 * others, unit: "%" })
      for (const mode of modes) {
        const [sequential, parallel] = ways.map((way) => rowName(pair, mode, way))
        derived.push(ratio(measured, `${nameOfPair(pair)}, ${mode}: speed-up`, sequential ?? "", parallel ?? ""))
      }
    }
    device.dispose()
    return { rows, derived }
  },
}

/** Measures a pair, again if other processes disturbed it. @returns the measurement that they disturbed least */
async function calmest(device: Device, pair: Pair, settings: Settings) {
  const end = performance.now() + (settings.quick ? 0 : PATIENCE)
  let best: { readonly measured: Row[]; readonly others: number } | undefined
  do {
    const watched = new OtherProcesses()
    const measured = await measure(device, pair, settings)
    const others = watched.share()
    if (best === undefined || others < best.others) best = { measured, others }
  } while (best.others > CALM && performance.now() < end)
  return best
}

async function measure(device: Device, pair: Pair, { quick }: Settings): Promise<Row[]> {
  const layers = Math.max(1, Math.min(MOST_LAYERS, Math.floor(TURN_MICROSECONDS / (pair[0] + pair[1]))))
  const aux = device.createStream()
  const kept: Graph<void>[] = []
  const contenders = modes.flatMap((mode) =>
    ways.map((way): Contender => {
      const queue = stack(device, pair, layers, way === "side by side" ? aux : null)
      const graph = mode === "graph" ? captureGraph(queue) : undefined
      if (graph !== undefined) kept.push(graph)
      return {
        name: rowName(pair, mode, way),
        turn() {
          if (graph === undefined) queue()
          else graph.launch()
          device.defaultStream.synchronize()
        },
      }
    }),
  )
  const [turns, warmUpTurns] = quick ? [3, 1] : [15, 3]
  const rows = await compare({ benchmark: name, unit: "µs", operations: layers, turns, warmUpTurns }, contenders)
  for (const graph of kept) graph.dispose()
  aux.dispose()
  return rows
}

/** Queues fork-joins one after the other. */
function stack(device: Device, [longer, shorter]: Pair, layers: number, aux: Stream | null): () => void {
  const [event0, event1] = [device.createEvent(), device.createEvent()]
  const main = () => spinFor.launch(once, longer / 1000)
  const other = () => spinFor.launch(once, shorter / 1000)
  return () => {
    for (let layer = 0; layer < layers; layer++) maybeExecuteInParallel(main, other, event0, event1, aux)
  }
}
