import { maybeExecuteInParallel, openDevice } from "auxstream"
import { type Benchmark, compare, type Contender, ratio } from "./harness.js"
import { increment, once } from "./kernels.js"
import { type Peer, startPeers } from "./peers/peers.js"
import { threads } from "./threads.js"

const name = "fork-join"

/** Two tiny pieces of work side by side, until both are done. */
export const forkJoin: Benchmark = {
  name,
  title: "one fork-join of two tiny kernels, until done; the peers run two tasks and await both",
  async run({ quick }) {
    const operations = quick ? 10 : 200
    const device = openDevice("host", { threads })
    const peers = await startPeers(threads)
    const [a, b] = [device.zeros("int32", 1), device.zeros("int32", 1)]
    const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream()]
    const main = device.defaultStream
    const left = () => increment.launch(once, a)
    const right = () => increment.launch(once, b)

    const blocking: Contender = {
      name: "auxstream, synchronize()",
      turn() {
        for (let i = 0; i < operations; i++) {
          maybeExecuteInParallel(left, right, event0, event1, aux)
          main.synchronize()
        }
      },
    }
    const promised: Contender = {
      name: "auxstream, await completed()",
      async turn() {
        for (let i = 0; i < operations; i++) {
          maybeExecuteInParallel(left, right, event0, event1, aux)
          await main.completed()
        }
      },
    }
    const contenders = [blocking, promised, ...peers.map((peer) => twoTasks(peer, operations))]
    const [turns, warmUpTurns] = quick ? [3, 1] : [61, 10]
    const rows = await compare({ benchmark: name, unit: "µs", operations, turns, warmUpTurns }, contenders)

    check(a.readSync()[0], b.readSync()[0], 2 * operations * (turns + warmUpTurns))
    device.dispose()
    for (const peer of peers) await peer.close()
    const derived = peers.flatMap((peer) =>
      [blocking, promised].map((ours) => ratio(rows, `${peer.name} ÷ ${ours.name}`, peer.name, ours.name)),
    )
    return { rows, derived }
  },
}

function twoTasks(peer: Peer, operations: number): Contender {
  return {
    name: peer.name,
    async turn() {
      for (let i = 0; i < operations; i++) await Promise.all([peer.run(), peer.run()])
    },
  }
}

function check(left: number | undefined, right: number | undefined, expected: number): void {
  if (left === expected && right === expected) return
  throw new Error(`The kernels ran ${left} and ${right} times, not ${expected}`)
}
