import { openDevice, type DeviceArray, type Stream } from "auxstream"
import { type Benchmark, compare, ratio } from "./harness.js"
import { once, work } from "./kernels.js"
import { threads } from "./threads.js"

const name = "scaling"
const nameOf = (count: number) => (count === 1 ? "1 stream" : `${count} streams`)

/** The same work on an increasing number of streams. */
export const scaling: Benchmark = {
  name,
  title: "one of 64 kernels of equal work, spread over 1 to 8 streams: time until all are done ÷ 64",
  async run({ quick }) {
    const operations = 64
    const steps = quick ? 1000 : 200_000
    const device = openDevice("host", { threads })
    const streams = Array.from({ length: 8 }, (): [Stream, DeviceArray<"float64">] => [
      device.createStream(),
      device.zeros("float64", 16),
    ])
    device.synchronize()

    const contenders = [1, 2, 4, 8].map((count) => ({
      name: nameOf(count),
      turn() {
        for (let i = 0; i < operations; i++) {
          const [stream, result] = streams[i % count] ?? []
          if (result !== undefined) work.launch({ ...once, stream }, steps, result)
        }
        device.synchronize()
      },
    }))
    const [turns, warmUpTurns] = quick ? [2, 1] : [31, 5]
    const rows = await compare({ benchmark: name, unit: "ms", operations, turns, warmUpTurns }, contenders)
    device.dispose()
    const derived = [2, 4, 8].map((count) =>
      ratio(rows, `throughput of ${nameOf(count)} ÷ that of one`, nameOf(1), nameOf(count)),
    )
    return { rows, derived }
  },
}
