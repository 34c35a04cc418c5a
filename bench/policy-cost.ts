/** What a policy costs on the calling thread: nothing without one, a lookup once it has decided, events while it measures. */
import { type Device, type Event, maybeExecuteInParallel, measuredOverlap, openDevice, type Stream } from "auxstream"
import { type Benchmark, compare, type Contender, difference } from "./harness.js"

const name = "policy-cost"

/** See the head of this file. */
export const policyCost: Benchmark = {
  name,
  title: "maybeExecuteInParallel of two empty functions, host time: without a policy, decided by one, measured by one",
  async run({ quick }) {
    const device = openDevice("host")
    const operations = quick ? 100 : 2000
    const [turns, warmUpTurns] = quick ? [3, 1] : [201, 40]
    const contenders = contendersOn(device, operations)
    const rows = await compare({ benchmark: name, unit: "ns", operations, turns, warmUpTurns }, contenders)
    device.dispose()
    return {
      rows,
      derived: [
        difference(
          rows,
          "a decided policy, in sequence: beyond the two calls",
          "decided: in sequence",
          "no policy: in sequence",
        ),
        difference(rows, "a measured call: beyond the mean of both ways", "measured", "no policy: alternating"),
      ],
    }
  },
}

const noop = (): void => {}

function contendersOn(device: Device, operations: number): Contender[] {
  const [aux, event0, event1] = [device.createStream(), device.createEvent(), device.createEvent()]
  const settle = () => device.synchronize()
  const plain = (stream: Stream | null) => () => {
    for (let made = 0; made < operations; made++) maybeExecuteInParallel(noop, noop, event0, event1, stream)
  }
  const alternating = () => {
    for (let made = 0; made < operations; made++) {
      maybeExecuteInParallel(noop, noop, event0, event1, made % 2 === 0 ? aux : null)
    }
  }
  // Empty functions are faster in sequence, so a policy decides that.
  const options = { overlap: measuredOverlap({ name: "cost" }), key: 1 }
  const decided = () => {
    for (let made = 0; made < operations; made++) {
      maybeExecuteInParallel(noop, noop, event0, event1, aux, options)
    }
  }
  return [
    { name: "no policy: in sequence", turn: plain(null), settle },
    { name: "no policy: side by side", turn: plain(aux), settle },
    { name: "no policy: alternating", turn: alternating, settle },
    { name: "decided: in sequence", turn: decided, settle },
    { name: "measured", turn: measuring(operations, aux, event0, event1), settle },
  ]
}

/** Each key is measured for 32 calls only, so a turn uses many keys. Making them is part of the cost. */
function measuring(operations: number, aux: Stream, event0: Event, event1: Event): () => void {
  return () => {
    const overlap = measuredOverlap({ name: "cost" })
    for (let made = 0; made < operations; made++) {
      maybeExecuteInParallel(noop, noop, event0, event1, aux, { overlap, key: Math.floor(made / 20) })
    }
  }
}
