import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { captureGraph, type Device, maybeExecuteInParallel, openDevice } from "auxstream"
import { type Benchmark, type Derived, type Row, rowOf } from "./harness.js"
import { increment, once } from "./kernels.js"

const name = "memory"
const checkpoints = 10

/** Long loops that make and drop arrays: memory use must stay flat. */
export const memory: Benchmark = {
  name,
  title:
    "a million fork-joins that each make, use and drop an array; 10 000 captures with ten launches each; memory at ten " +
    "points, the first left out",
  async run({ quick }) {
    const forkJoins = watch("fork-joins", "one fork-join with its array", quick ? 2000 : 1_000_000, forkJoinOn)
    const graphs = watch("graphs", "one capture and ten launches", quick ? 100 : 10_000, graphOn)
    return { rows: [...forkJoins.rows, ...graphs.rows], derived: [...forkJoins.derived, ...graphs.derived] }
  },
}

function forkJoinOn(device: Device): () => void {
  const kept = device.zeros("int32", 1024)
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const left = () => increment.launch(once, kept)
  const right = () => {
    const made = device.zeros("int32", 1024)
    increment.launch(once, made)
    return made
  }
  return () => {
    const [, made] = maybeExecuteInParallel(left, right, event0, event1, aux)
    increment.launch(once, made) // the caller's use, on the current stream
    made.dispose()
  }
}

function graphOn(device: Device): () => void {
  const forkJoin = forkJoinOn(device)
  return () => {
    const graph = captureGraph(forkJoin, { device })
    for (let count = 0; count < 10; count++) graph.launch()
    graph.dispose()
  }
}

/** Memory use at ten points of a loop, and the time of one turn. */
function watch(
  what: string,
  each: string,
  count: number,
  turnOn: (device: Device) => () => void,
): { rows: Row[]; derived: Derived[] } {
  const device = openDevice("host")
  const turn = turnOn(device)
  const collect = collector()
  const samples: Sample[] = []
  const started = performance.now()
  let paused = 0
  for (let point = 0; point < checkpoints; point++) {
    for (let i = 0; i < count / checkpoints; i++) {
      turn()
      if (i % 1000 === 999) device.defaultStream.synchronize()
    }
    device.synchronize()
    const from = performance.now()
    collect()
    samples.push({ rss: process.memoryUsage.rss(), heap: process.memoryUsage().heapUsed, ...device.memory })
    paused += performance.now() - from
  }
  const taken = (performance.now() - started - paused) / count
  device.dispose()

  const settled = samples.slice(1)
  const figure = (figureName: string, of: (sample: Sample) => number) =>
    rowOf(
      name,
      `${what}: ${figureName}`,
      "MB",
      settled.map((sample) => of(sample) / 1e6),
    )
  const growth = (figureName: string, of: (sample: Sample) => number) => ({
    benchmark: name,
    name: `${what}: growth of ${figureName} from the second point to the last`,
    value: ((of(settled.at(-1) ?? nothing) ?? 0) - of(settled[0] ?? nothing)) / 1e6,
    unit: "MB" as const,
  })
  return {
    rows: [
      figure("resident set", (sample) => sample.rss),
      figure("JavaScript heap, collected", (sample) => sample.heap),
      figure("device memory taken from the system", (sample) => sample.reserved),
      figure("device memory in arrays", (sample) => sample.used),
      rowOf(name, each, "µs", [taken * 1e3]),
    ],
    derived: [
      growth("the resident set", (sample) => sample.rss),
      growth("the JavaScript heap", (sample) => sample.heap),
      growth("device memory", (sample) => sample.reserved),
    ],
  }
}

interface Sample {
  readonly rss: number
  readonly heap: number
  readonly reserved: number
  readonly used: number
}

const nothing: Sample = { rss: 0, heap: 0, reserved: 0, used: 0 }

/** The garbage collector, without a command-line flag. */
function collector(): () => void {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc") as () => void
}
