import { maybeExecuteInParallel, openDevice } from "auxstream"
import { setTimeout as sleep } from "node:timers/promises"
import { type Benchmark, ratio, rowOf } from "./harness.js"
import { increment, once } from "./kernels.js"
import { startPeers } from "./peers/peers.js"
import { threads } from "./threads.js"

const name = "cold"

/** After this pause all threads sleep, in milliseconds. */
const pause = 20

interface Contender {
  readonly name: string
  run(): unknown
}

/** Like `fork-join`, but after a pause: the cost of a single request on an idle machine. */
export const cold: Benchmark = {
  name,
  title: "one fork-join of two tiny kernels while every thread is asleep, until done; the peers run two tasks",
  async run({ quick }) {
    const device = openDevice("host", { threads })
    const peers = await startPeers(threads)
    const [a, b] = [device.zeros("int32", 1), device.zeros("int32", 1)]
    const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
    const main = device.defaultStream
    const fork = () =>
      maybeExecuteInParallel(
        () => increment.launch(once, a),
        () => increment.launch(once, b),
        event0,
        event1,
        aux,
      )
    const ours = ["auxstream, synchronize()", "auxstream, await completed()"] as const
    const contenders: Contender[] = [
      {
        name: ours[0],
        run() {
          fork()
          main.synchronize()
        },
      },
      {
        name: ours[1],
        async run() {
          fork()
          await main.completed()
        },
      },
      ...peers.map((peer) => ({ name: peer.name, run: () => Promise.all([peer.run(), peer.run()]) })),
    ]
    const rows = await measure(contenders, quick ? [3, 1] : [101, 10])
    device.dispose()
    for (const peer of peers) await peer.close()
    return {
      rows,
      derived: peers.flatMap((peer) => ours.map((one) => ratio(rows, `${peer.name} ÷ ${one}`, peer.name, one))),
    }
  },
}

/** All contenders alternately, each time after a pause. */
async function measure(contenders: readonly Contender[], [turns, warmUpTurns]: readonly [number, number]) {
  const samples = contenders.map((): number[] => [])
  for (let turn = -warmUpTurns; turn < turns; turn++) {
    for (const [index, contender] of contenders.entries()) {
      await sleep(pause)
      const started = performance.now()
      await contender.run()
      if (turn >= 0) samples[index]?.push((performance.now() - started) * 1e3)
    }
  }
  return contenders.map((contender, index) => rowOf(name, contender.name, "µs", samples[index] ?? []))
}
