import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { captureGraph, type Device, type Stream } from "../../src/index.js"
import { StreamSlot } from "../../src/host/queue/stream.js"
import { StreamState } from "../../src/runtime/order/stream-state.js"
import { countCalls } from "../support/count.js"
import { Latch } from "../support/latch.js"
import { nothing, Recorded } from "../support/recorded.js"
import { affine, once } from "../support/kernels.js"

interface Held {
  readonly device: Device
  readonly held: Stream
  readonly recorded: Recorded
}

/** Runs a function on a device with a held stream. */
function behindLatch<T>(run: (held: Held) => T): T {
  using recorded = new Recorded()
  const { device } = recorded
  using latch = new Latch(device)
  const held = device.createStream()
  latch.hold(held)
  return run({ device, held, recorded })
}

function waitingStream({ device, held }: Held): Stream {
  const stream = device.createStream()
  stream.wait(held)
  nothing.launch({ ...once, stream }, 1)
  return stream
}

function disposeGraph({ device, held }: Held): void {
  const graph = captureGraph(() => nothing.launch(once, 1), { device })
  graph.launch(held)
  graph.dispose()
}

const kinds: [string, (held: Held) => void][] = [
  ["a graph disposed of behind queued work", disposeGraph],
  ["a stream made, used and disposed of behind queued work", (held) => waitingStream(held).dispose()],
  ["a graph launched on a stream of its own", (held) => disposeGraph({ ...held, held: waitingStream(held) })],
]

describe("one more makes as many driver queries beside 1000 as beside 100", () => {
  for (const [what, make] of kinds) {
    const queries = (count: number): number =>
      behindLatch((held) => {
        for (let i = 0; i < count; i++) make(held)
        held.recorded.recording.take()
        for (let i = 0; i < 10; i++) make(held)
        return held.recorded.recording.take("events.query").length
      })
    test(what, () => {
      const [few, many] = [queries(100), queries(1000)]
      assert.ok(many <= few + 20, `${few} queries beside 100, ${many} beside 1000`)
    })
  }
})

test("pinned memory, graphs and streams that wait for a long latch do not delay the release of others", () => {
  behindLatch((held) => {
    const { device, recorded } = held
    for (let i = 0; i < 200; i++) disposeGraph(held)
    const free = device.createStream()
    const destroyed = (): number => recorded.recording.take("graphs.destroy").length
    destroyed()
    let gone = 0
    for (let i = 0; i < 400; i++) {
      disposeGraph({ ...held, held: free })
      free.synchronize()
      gone += destroyed()
    }
    // Waiting ones are checked in turn, so some of the others may still be there.
    assert.ok(gone > 250, `${gone} of 400 graphs whose work is done are gone`)
  })
})

/** The number of calls of a method when this many streams use and write one array. */
function callsFor(count: number, of: (run: () => void) => Promise<number>): Promise<number> {
  return behindLatch(async (held) => {
    const { device } = held
    const array = device.zeros("int32", 4)
    device.defaultStream.synchronize()
    const streams = Array.from({ length: count }, () => waitingStream(held))
    return of(() => {
      for (let round = 0; round < 2; round++) {
        for (const stream of streams) affine.launch({ ...once, stream }, 1, array, 1, 1)
      }
      array.dispose()
    })
  })
}

for (const [what, of] of [
  ["looks at the streams' order", (run: () => void) => countCalls(StreamState.prototype, "isAfter", run)],
  ["looks for failures", (run: () => void) => countCalls(StreamSlot.prototype, "isBroken", run)],
] as const) {
  test(`an array that ten times as many streams use costs about ten times as much: ${what}`, async () => {
    const [few, many] = [await callsFor(100, of), await callsFor(1000, of)]
    assert.ok(many <= 20 * few + 100, `${few} for 100 streams, ${many} for 1000`)
  })
}
