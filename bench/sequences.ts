import { autoParallel, captureGraph, type Device, type Graph, openDevice } from "auxstream"
import {
  type Benchmark,
  compare,
  type Contender,
  type Derived,
  type Findings,
  medianOf,
  ratio,
  type Row,
} from "./harness.js"
import { kernels } from "./sequences/kernels.js"
import type { Program } from "./sequences/program.js"
import { programs } from "./sequences/programs.js"
import { threads } from "./threads.js"

const name = "sequences"

/** The ways of running a program, and the words for each. */
const ways = ["in sequence", "forks by hand", "autoParallel"] as const
type Way = (typeof ways)[number]

const modes = ["eager", "graph"] as const
type Mode = (typeof modes)[number]

/** What GrCUDA's authors measured for the six programs: their scheduler against serial execution, as a geometric mean. */
const GRCUDA_OVER_SERIAL = 1.44

/** Programs written in sequence: what autoParallel gains, beside forks by hand. */
export const sequences: Benchmark = {
  name,
  title: "six programs: in sequence, with forks by hand, and in sequence inside autoParallel, until done",
  async run({ quick }) {
    const device = openDevice("host", { threads })
    const findings = await measureSequences(device, quick ? "smallest" : "host", quick)
    device.dispose()
    return findings
  },
}

/** Measures all programs on any device. */
export async function measureSequences(
  device: Device,
  sizes: "smallest" | "host" | "cuda",
  quick: boolean,
): Promise<Findings> {
  await kernels.prepare(device)
  const rows: Row[] = []
  for (const { program, sizes: of } of programs) rows.push(...(await measure(device, program, of[sizes], quick)))
  return { rows, derived: modes.flatMap((mode) => figures(rows, mode)) }
}

async function measure(device: Device, program: Program, size: number, quick: boolean): Promise<Row[]> {
  const { inSequence, byHand } = program.open(device, size)
  const queue: Readonly<Record<Way, () => void>> = {
    "in sequence": inSequence,
    "forks by hand": byHand,
    autoParallel: () => autoParallel(inSequence, { device }),
  }
  const kept: Graph<void>[] = []
  const contenders = modes.flatMap((mode) =>
    ways.map((way): Contender => {
      const graph = mode === "graph" ? captureGraph(queue[way], { device }) : undefined
      if (graph !== undefined) kept.push(graph)
      return {
        name: rowName(program, mode, way),
        turn() {
          if (graph === undefined) queue[way]()
          else graph.launch()
          device.defaultStream.synchronize()
        },
      }
    }),
  )
  const [turns, warmUpTurns] = quick ? [3, 1] : [21, 4]
  const rows = await compare({ benchmark: name, unit: "µs", operations: 1, turns, warmUpTurns }, contenders)
  for (const graph of kept) graph.dispose()
  return rows
}

function rowName(program: Program, mode: Mode, way: Way): string {
  return `${program.name}, ${mode}, ${way}`
}

/** The speed of each program and the geometric means, with GrCUDA's beside them. */
function figures(rows: readonly Row[], mode: Mode): Derived[] {
  const of = (program: Program, way: Way) => medianOf(rows, rowName(program, mode, way))
  const speed = (way: Way, over: Way) =>
    geometricMean(programs.map(({ program }) => of(program, over) / of(program, way)))
  const figure = (text: string, value: number): Derived => ({
    benchmark: name,
    name: `${mode}: ${text}`,
    value,
    unit: "×",
  })
  return [
    ...programs.map(({ program }) =>
      ratio(
        rows,
        `${mode}: ${program.name}, speed of autoParallel over in sequence`,
        rowName(program, mode, "in sequence"),
        rowName(program, mode, "autoParallel"),
      ),
    ),
    figure("all six (geometric mean), speed of forks by hand over in sequence", speed("forks by hand", "in sequence")),
    figure("all six (geometric mean), speed of autoParallel over in sequence", speed("autoParallel", "in sequence")),
    figure(
      "all six (geometric mean), speed of autoParallel over forks by hand",
      speed("autoParallel", "forks by hand"),
    ),
    figure("GrCUDA over serial, as its authors published it", GRCUDA_OVER_SERIAL),
  ]
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}
