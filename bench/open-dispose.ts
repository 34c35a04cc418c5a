import { openDevice } from "auxstream"
import { type Benchmark, compare } from "./harness.js"
import { increment, once } from "./kernels.js"

const name = "open-dispose"

/** The cost of opening a device and disposing of it. */
export const openDispose: Benchmark = {
  name,
  title: "opening the host device and disposing of it, without work (no threads are started) and with a first launch",
  async run({ quick }) {
    const [turns, warmUpTurns] = quick ? [2, 1] : [31, 5]
    const rows = await compare({ benchmark: name, unit: "ms", operations: 1, turns, warmUpTurns }, [
      {
        name: "open, dispose",
        turn() {
          openDevice("host").dispose()
        },
      },
      {
        name: "open, launch, synchronize, dispose",
        turn() {
          const device = openDevice("host")
          increment.launch(once, device.zeros("int32", 1))
          device.synchronize()
          device.dispose()
        },
      },
    ])
    return { rows, derived: [] }
  },
}
