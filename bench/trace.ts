import { captureGraph, type Device, maybeExecuteInParallel, openDevice, startTrace, type Trace } from "auxstream"
import { type Branches, Model } from "../examples/moe/model.js"
import { published, type Sizes, sizesFor } from "../examples/moe/sizes.js"
import { makeWeights } from "../examples/moe/weights.js"
import { type Benchmark, compare, type Contender, type Derived, ratio, type Row } from "./harness.js"
import { increment, once } from "./kernels.js"
import { threads } from "./threads.js"

const name = "trace"

interface Workload {
  readonly name: string
  /** How many operations a turn queues. */
  readonly operations: number
  queue(): void
}

/** What a trace costs the program that it records, from the first operation until all are done. */
export const trace: Benchmark = {
  name,
  title: "the same work with and without a trace, until done, per operation",
  async run({ quick }) {
    const device = openDevice("host", { threads })
    const workloads = [mainJob(device, quick), forkJoins(device, quick), graphs(device, quick)]
    const rows: Row[] = []
    const derived: Derived[] = []
    for (const workload of workloads) {
      const measured = await measure(device, workload, quick)
      rows.push(...measured)
      derived.push(ratio(measured, `${workload.name}: traced ÷ untraced`, `${workload.name}, traced`, workload.name))
    }
    device.dispose()
    return { rows, derived }
  },
}

/** A pass of the main job, its branches side by side. Operations are counted as those that the trace has seen. */
function mainJob(device: Device, quick: boolean): Workload {
  const sizes: Sizes = quick
    ? { ...published, hidden: 256, expert: 128, shared: 512, experts: 4, layers: 1, tokens: 1 }
    : sizesFor("host", 1, 16)
  const model = new Model(device, sizes, makeWeights(device, sizes, false))
  const tokens = device.from(new Uint8Array(sizes.tokens).map((_, index) => 65 + index))
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream({ name: "aux" })]
  const branches: Branches = (routed, shared) => maybeExecuteInParallel(routed, shared, event0, event1, aux)
  const queue = () => device.scope(() => void model.forward(tokens, branches))
  return { name: "main job", operations: 1, queue }
}

/** The least work for the most operations: everything that tracing adds shows. */
function forkJoins(device: Device, quick: boolean): Workload {
  const operations = quick ? 10 : 1000
  const [a, b] = [device.zeros("int32", 1), device.zeros("int32", 1)]
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const left = () => increment.launch(once, a)
  const right = () => increment.launch(once, b)
  const queue = () => {
    for (let i = 0; i < operations; i++) maybeExecuteInParallel(left, right, event0, event1, aux)
  }
  return { name: "fork-joins of two empty kernels", operations, queue }
}

function graphs(device: Device, quick: boolean): Workload {
  const operations = quick ? 2 : 100
  const a = device.zeros("int32", 1)
  const graph = captureGraph(() => {
    for (let i = 0; i < 50; i++) increment.launch(once, a)
  })
  const queue = () => {
    for (let i = 0; i < operations; i++) graph.launch()
  }
  return { name: "launches of a graph of 50 empty kernels", operations, queue }
}

async function measure(device: Device, workload: Workload, quick: boolean): Promise<Row[]> {
  const run = () => {
    workload.queue()
    device.synchronize()
  }
  let running: Trace | undefined
  const traced: Contender = {
    name: `${workload.name}, traced`,
    turn() {
      running = startTrace()
      run()
    },
    async settle() {
      await running?.stop()
    },
  }
  const [turns, warmUpTurns] = quick ? [3, 1] : [31, 5]
  const { operations } = workload
  return compare({ benchmark: name, unit: "µs", operations, turns, warmUpTurns }, [
    { name: workload.name, turn: run },
    traced,
  ])
}
