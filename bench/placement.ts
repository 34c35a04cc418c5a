import {
  autoParallel,
  captureGraph,
  defineKernel,
  type Device,
  type DeviceArray,
  maybeExecuteInParallel,
  openDevice,
} from "auxstream"
import { type Benchmark, compare, type Contender, difference, type Findings, ratio } from "./harness.js"
import { once } from "./kernels.js"

const name = "placement"

/** Holds its stream until the flag is set, so that no worker thread takes part while calls are measured. Host only. */
const gate = defineKernel({
  name: "gate",
  signature: ["inout int32*"],
  host: { source: "export function gate(launch, flag) { Atomics.wait(flag, 0, 0, 60_000) }" },
})

const touch = defineKernel({
  // The name of a kernel of the driver's double, so that this can be tried there.
  name: "test_touch",
  signature: ["int32", "float32", "in float32*", "inout float32*"],
  cuda: {
    source:
      'extern "C" __global__ void test_touch(int n, float a, const float* x, float* y) { if (n < 0) y[0] = a * x[0]; }',
  },
  host: { source: "export function test_touch() {}" },
})

/** What placing costs the calling thread. */
export const placement: Benchmark = {
  name,
  title: "host time of one launch inside autoParallel, and of a fork-join that it finds",
  async run({ quick }) {
    const device = openDevice("host", { threads: 2 })
    const findings = await placementCost(device, quick)
    device.dispose()
    return findings
  },
}

/** Measures on any device. With one stream, a region queues nothing but launches, so the difference is the cost of placing. */
export async function placementCost(device: Device, quick: boolean): Promise<Findings> {
  const operations = quick ? 20 : 400
  const hold = device.kind === "host" ? new Hold(device) : undefined
  const [a, b, c, d] = ["a", "b", "c", "d"].map(() => device.zeros("float32", 256))
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("No arrays were made")
  const launch = (x: DeviceArray<"float32">, y: DeviceArray<"float32">) => touch.launch(once, 1, 2, x, y)
  const round = () => {
    launch(a, b)
    launch(b, c)
    launch(c, d)
    launch(d, a)
  }
  const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
  const byHand = () => {
    launch(a, b)
    maybeExecuteInParallel(
      () => launch(b, c),
      () => launch(b, d),
      event0,
      event1,
      aux,
    )
    launch(c, d)
  }
  const inSequence = () => {
    launch(a, b)
    launch(b, c)
    launch(b, d)
    launch(c, d)
  }
  const many = (call: () => void) => () => {
    for (let count = 0; count < operations; count += 4) call()
  }
  const calls: Readonly<Record<string, () => void>> = {
    launch: many(round),
    "launch in a region of one stream": () => autoParallel(many(round), { streams: 1 }),
    "launch in a region of eight streams": () => autoParallel(many(round)),
    "launch of two branches, by hand": many(byHand),
    "launch of two branches, in one region": () => autoParallel(many(inSequence)),
    "launch of two branches, a region each": many(() => autoParallel(inSequence)),
    "launch captured by hand": () => captureGraph(many(byHand)).dispose(),
    "launch captured in a region": () => captureGraph(() => autoParallel(many(inSequence))).dispose(),
  }
  const contenders = Object.entries(calls).map(([call, run]): Contender => {
    return {
      name: call,
      turn() {
        hold?.close()
        run()
      },
      settle() {
        hold?.open()
        device.synchronize()
      },
    }
  })
  const [turns, warmUpTurns] = quick ? [3, 1] : [101, 20]
  const rows = await compare({ benchmark: name, unit: "ns", operations, turns, warmUpTurns }, contenders)
  return {
    rows,
    derived: [
      difference(rows, "placing a launch", "launch in a region of one stream", "launch"),
      difference(rows, "placing a launch, its records included", "launch in a region of eight streams", "launch"),
      ratio(
        rows,
        "two branches: one region ÷ by hand",
        "launch of two branches, in one region",
        "launch of two branches, by hand",
      ),
    ],
  }
}

/** Holds the default stream, after which all others wait. */
class Hold {
  readonly #flag

  constructor(device: Device) {
    this.#flag = device.pinned("int32", 1)
  }

  close(): void {
    this.#flag.array[0] = 0
    gate.launch(once, this.#flag)
  }

  open(): void {
    this.#flag.array[0] = 1
    Atomics.notify(this.#flag.array, 0)
  }
}
