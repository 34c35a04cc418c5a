import {
  captureGraph,
  defineKernel,
  type Device,
  maybeExecuteInParallel,
  openDevice,
  type Sanitizer,
  startSanitizer,
} from "auxstream"
import { type Benchmark, compare, type Contender, type Findings, ratio } from "./harness.js"
import { once } from "./kernels.js"

const name = "sanitizer"

/** Holds its stream until the flag is set, so that no worker thread takes part while calls are measured. Host only. */
const gate = defineKernel({
  name: "gate",
  signature: ["inout int32*"],
  host: { source: "export function gate(launch, flag) { Atomics.wait(flag, 0, 0, 60_000) }" },
})

const touch = defineKernel({
  name: "touch",
  signature: ["int32", "float32", "in float32*", "inout float32*"],
  cuda: {
    source:
      'extern "C" __global__ void touch(int n, float a, const float* x, float* y) { if (n < 0) y[0] = a * x[0]; }',
  },
  host: { source: "export function touch() {}" },
})

/** The measurements and their names. */
const modes = {
  off: undefined,
  "without stacks": { stacks: false },
  "with stacks": { stacks: true },
} as const

/** The cost of calls for the calling thread, without and with the sanitizer. */
export const sanitizer: Benchmark = {
  name,
  title: "host time of one call under the sanitizer, without and with stacks",
  async run({ quick }) {
    const device = openDevice("host")
    const findings = await sanitizerCost(device, quick)
    device.dispose()
    return findings
  },
}

/** Measures on any device. */
export async function sanitizerCost(device: Device, quick: boolean): Promise<Findings> {
  const operations = quick ? 20 : 500
  const aux = device.createStream({ name: "aux" })
  const [a, b, c, d] = ["a", "b", "c", "d"].map(() => device.zeros("float32", 256))
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("No arrays were made")
  const [event0, event1] = [device.createEvent(), device.createEvent()]
  const left = () => touch.launch(once, 1, 2, a, b)
  const right = () => touch.launch(once, 1, 2, c, d)
  const both = () => void maybeExecuteInParallel(left, right, event0, event1, aux)
  const graph = captureGraph(() => {
    for (let count = 0; count < 20; count++) both()
  })
  device.synchronize()
  const hold = device.kind === "host" ? new Hold(device) : undefined
  const calls = { launch: left, "fork-join of two launches": both, "launch of a graph of 40": () => graph.launch() }
  const contenders = Object.entries(calls).flatMap(([call, run]) =>
    Object.entries(modes).map(([mode, options]): Contender => {
      let running: Sanitizer | undefined
      return {
        name: `${call}, ${mode}`,
        prepare() {
          hold?.close(aux)
          running = options === undefined ? undefined : startSanitizer(options)
          run() // What the sanitizer does only once is not measured.
        },
        turn() {
          for (let count = 0; count < operations; count++) run()
        },
        settle() {
          running?.stop()
          hold?.open()
          device.synchronize()
        },
      }
    }),
  )
  const [turns, warmUpTurns] = quick ? [3, 1] : [41, 10]
  const rows = await compare({ benchmark: name, unit: "ns", operations, turns, warmUpTurns }, contenders)
  const derived = Object.keys(calls).flatMap((call) => [
    ratio(rows, `${call}: without stacks`, `${call}, without stacks`, `${call}, off`),
    ratio(rows, `${call}: with stacks`, `${call}, with stacks`, `${call}, off`),
  ])
  return { rows, derived }
}

/** Holds the default stream and another one. */
class Hold {
  readonly #device: Device
  readonly #flag

  constructor(device: Device) {
    this.#device = device
    this.#flag = device.pinned("int32", 1)
  }

  close(other: ReturnType<Device["createStream"]>): void {
    this.#flag.array[0] = 0
    gate.launch(once, this.#flag)
    other.wait(this.#device.defaultStream)
  }

  open(): void {
    this.#flag.array[0] = 1
    Atomics.notify(this.#flag.array, 0)
  }
}
