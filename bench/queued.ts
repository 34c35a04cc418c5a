import { maybeExecuteInParallel, openDevice } from "auxstream"
import { type Benchmark, compare, type Contender, ratio } from "./harness.js"
import { increment, once } from "./kernels.js"
import { type Peer, startPeers } from "./peers/peers.js"
import { threads } from "./threads.js"

const name = "queued"

/** Many queued fork-joins and one wait, as in a model of many layers. */
export const queued: Benchmark = {
  name,
  title:
    "one of 1000 queued fork-joins, all waited for at once; the peers have 1000 tasks in flight, without any order",
  async run({ quick }) {
    const operations = quick ? 50 : 1000
    const device = openDevice("host", { threads })
    const peers = await startPeers(threads)
    const [a, b] = [device.zeros("int32", 1), device.zeros("int32", 1)]
    const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
    const left = () => increment.launch(once, a)
    const right = () => increment.launch(once, b)

    const ours: Contender = {
      name: "auxstream",
      turn() {
        for (let i = 0; i < operations; i++) maybeExecuteInParallel(left, right, event0, event1, aux)
        device.defaultStream.synchronize()
      },
    }
    const [turns, warmUpTurns] = quick ? [3, 1] : [61, 10]
    const contenders = [ours, ...peers.map((peer) => tasksInFlight(peer, operations))]
    const rows = await compare({ benchmark: name, unit: "µs", operations, turns, warmUpTurns }, contenders)

    device.dispose()
    for (const peer of peers) await peer.close()
    return { rows, derived: peers.map((peer) => ratio(rows, `${peer.name} ÷ auxstream`, peer.name, ours.name)) }
  },
}

/** Two tasks for each fork-join, at most 1000 at a time. */
function tasksInFlight(peer: Peer, operations: number): Contender {
  const batch = Math.min(500, operations)
  return {
    name: peer.name,
    async turn() {
      for (let done = 0; done < operations; done += batch) {
        await Promise.all(Array.from({ length: 2 * batch }, () => peer.run()))
      }
    },
  }
}
