import { monitorEventLoopDelay } from "node:perf_hooks"
import { openDevice } from "auxstream"
import { answer, answerOnPool, prepare, type Question } from "../examples/server/work.js"
import { type Benchmark, compare, type Contender, ratio, rowOf } from "./harness.js"
import { threads } from "./threads.js"

const name = "server"

/** The example's kernels, called directly. */
interface Kernels {
  iterate(
    this: void,
    launch: unknown,
    n: number,
    rounds: number,
    factor: number,
    x: Float32Array,
    y: Float32Array,
  ): void
  add(this: void, launch: unknown, n: number, x: Float32Array, y: Float32Array): void
}

/** The requests of the server example, 16 at a time, without HTTP. */
export const server: Benchmark = {
  name,
  title:
    "one of 64 requests of two pieces each, 16 at once: streams of their own, the pool, or inline on the event loop",
  async run({ quick }) {
    const [operations, atOnce] = quick ? [8, 4] : [64, 16]
    const device = openDevice("host", { threads })
    await prepare(device)
    const question = { numbers: new Float32Array(2048).fill(3), rounds: quick ? 10 : 200 }
    const kernels = (await import(String(new URL("../examples/server/host-kernels.js", import.meta.url)))) as Kernels

    const contenders = [
      new Way("two streams for each request", operations, atOnce, () => answer(device, question)),
      new Way("parallel() on the pool", operations, atOnce, () => answerOnPool(device, question)),
      new Way("inline on the event loop", operations, atOnce, () => inline(kernels, question)),
    ]
    const [turns, warmUpTurns] = quick ? [2, 1] : [41, 5]
    const rows = await compare({ benchmark: name, unit: "ms", operations, turns, warmUpTurns }, contenders)
    device.dispose()
    const delays = contenders.map((way) =>
      rowOf(name, `${way.name}: longest delay of the event loop`, "ms", way.delays.slice(warmUpTurns)),
    )
    const [own = "", pool = "", inPlace = ""] = contenders.map((way) => way.name)
    const derived = [
      ratio(rows, "the pool ÷ streams of their own", pool, own),
      ratio(rows, "inline ÷ streams of their own", inPlace, own),
    ]
    return { rows: [...rows, ...delays], derived }
  },
}

/** A way to answer requests, several at a time. */
class Way implements Contender {
  readonly name: string
  /** The longest time that the event loop was blocked in each turn, in milliseconds. */
  readonly delays: number[] = []
  readonly #flows: (() => Promise<void>)[]

  constructor(name: string, operations: number, atOnce: number, answerOne: () => Promise<unknown>) {
    this.name = name
    const flow = async () => {
      for (let count = 0; count < operations / atOnce; count++) await answerOne()
    }
    this.#flows = Array.from({ length: atOnce }, () => flow)
  }

  readonly turn = async (): Promise<void> => {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    await Promise.all(this.#flows.map((flow) => flow()))
    await new Promise((resolve) => setTimeout(resolve, 2)) // Otherwise a delay that lasts until now would not be seen.
    delay.disable()
    this.delays.push(delay.max / 1e6)
  }
}

async function inline({ iterate, add }: Kernels, { numbers, rounds }: Question): Promise<Float32Array> {
  const n = numbers.length
  const [left, right] = [new Float32Array(n), new Float32Array(n)]
  iterate(undefined, n, rounds, 0.5, numbers, left)
  iterate(undefined, n, rounds, 0.25, numbers, right)
  add(undefined, n, left, right)
  // Like a handler, which has read a request before and writes an answer afterwards.
  await new Promise(setImmediate)
  return right
}
