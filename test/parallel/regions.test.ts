import assert from "node:assert/strict"
import { after, describe, it } from "node:test"
import { executeInParallel } from "../../src/parallel/execute-in-parallel.js"
import { fork } from "../../src/parallel/fork.js"
import { maybeExecuteInParallel } from "../../src/parallel/maybe-execute-in-parallel.js"
import { withMultiStream } from "../../src/parallel/multi-stream.js"
import { parallel } from "../../src/parallel/parallel.js"
import { OperationObserver } from "../../src/runtime/order/observer/observer.js"
import { observe } from "../../src/runtime/order/observer/observers.js"
import type { Operation } from "../../src/runtime/order/observer/operation.js"
import type { RecordPoint } from "../../src/runtime/order/record-point.js"
import type { Region, RegionPart } from "../../src/runtime/order/observer/region.js"
import type { StreamState } from "../../src/runtime/order/stream-state.js"
import { Recorded } from "../support/recorded.js"

/** Writes down what happens in which region, as sentences. */
class Regions extends OperationObserver {
  readonly #lines: string[] = []
  readonly #end = observe(this)

  override began({ name, mode, reason, streams, parent }: Region): void {
    this.#lines.push(
      `began ${name} ${mode} ${reason} on ${streams.map((stream) => stream.name).join()} in ${place(parent)}`,
    )
  }

  override ended({ name }: Region): void {
    this.#lines.push(`ended ${name}`)
  }

  override accepted({ label, region }: Operation): void {
    this.#lines.push(`${label} in ${place(region)}`)
  }

  override recorded({ order }: StreamState): void {
    this.#lines.push(`record in ${place(order.captures.region())}`)
  }

  override waited({ order }: StreamState, _point: RecordPoint): void {
    this.#lines.push(`wait in ${place(order.captures.region())}`)
  }

  take(): string[] {
    return this.#lines.splice(0)
  }

  [Symbol.dispose](): void {
    this.#end()
  }
}

function place(part: RegionPart | undefined): string {
  return part === undefined ? "none" : `${part.region.name}[${part.index ?? "own"}]`
}

describe("§12: a fork-join call is a region that observers see", () => {
  const r = new Recorded()
  const { main, aux, event0, event1 } = r
  const stream = main.state.name
  const other = aux.state.name
  after(() => r.device.dispose())

  function seen(call: () => unknown): string[] {
    using regions = new Regions()
    r.main.run(call)
    return regions.take()
  }

  it("its functions' operations name it and the function, its records and waits name it alone", () => {
    const call = () => {
      maybeExecuteInParallel(
        () => r.launch(0),
        () => r.launch(1),
        event0,
        event1,
        aux,
      )
    }
    assert.deepEqual(seen(call), [
      `began maybeExecuteInParallel parallel parallel on ${stream},${other} in none`,
      "record in maybeExecuteInParallel[own]",
      "nothing in maybeExecuteInParallel[0]",
      "wait in maybeExecuteInParallel[own]",
      "nothing in maybeExecuteInParallel[1]",
      "record in maybeExecuteInParallel[own]",
      "wait in maybeExecuteInParallel[own]",
      "ended maybeExecuteInParallel",
    ])
  })

  it("sequential calls are regions with their reason", () => {
    const two = () => maybeExecuteInParallel(r.launch.bind(r, 0), r.launch.bind(r, 1), event0, event1, main)
    const lines = ["nothing in maybeExecuteInParallel[0]", "nothing in maybeExecuteInParallel[1]"]
    const end = "ended maybeExecuteInParallel"
    const began = `began maybeExecuteInParallel sequential`
    assert.deepEqual(seen(two), [`${began} same-stream on ${stream} in none`, ...lines, end])
    assert.deepEqual(
      seen(() => withMultiStream(false, two)),
      [`${began} disabled on ${stream} in none`, ...lines, end],
    )
    assert.deepEqual(
      seen(() => maybeExecuteInParallel(r.launch.bind(r, 0), r.launch.bind(r, 1), null, null)),
      [`${began} no-aux-stream on ${stream} in none`, ...lines, end],
    )
  })

  it("calls inside a function name it as their parent, and the innermost region holds the operation", () => {
    const inner = () => executeInParallel(r.launch.bind(r, 0), [null, r.launch.bind(r, 2)], null, [])
    const lines = seen(() => parallel([() => r.launch(0), inner], { enable: false }))
    assert.deepEqual(lines, [
      `began parallel sequential disabled on ${stream} in none`,
      "nothing in parallel[0]",
      `began executeInParallel sequential no-aux-stream on ${stream} in parallel[1]`,
      "nothing in executeInParallel[0]",
      "nothing in executeInParallel[2]",
      "ended executeInParallel",
      "ended parallel",
    ])
  })

  it("follows await, and ends once the promise has settled", async () => {
    using regions = new Regions()
    const async = async () => {
      r.launch(0)
      await Promise.resolve()
      r.launch(1)
    }
    await maybeExecuteInParallel(async, async, event0, event1, aux)
    r.launch(2)
    const lines = regions.take().filter((line) => !/^(record|wait)/.test(line))
    const [main0, aux0] = ["nothing in maybeExecuteInParallel[0]", "nothing in maybeExecuteInParallel[1]"]
    assert.deepEqual(lines.slice(1), [main0, aux0, main0, aux0, "ended maybeExecuteInParallel", "nothing in none"])
  })

  it("ends when a function throws", () => {
    const throwing = (): void => {
      throw new Error("no")
    }
    const call = () => assert.throws(() => parallel([() => r.launch(0), throwing]), /no/)
    assert.equal(seen(call).at(-1), "ended parallel")
  })

  it("a fork is a region until it is joined", () => {
    const lines = seen(() => {
      const forked = fork(() => r.launch(1), { stream: aux })
      r.launch(0)
      forked.join()
      forked.join()
    })
    const operations = lines.filter((line) => !/^(record|wait)/.test(line))
    const began = `began fork parallel parallel on ${stream},${other} in none`
    assert.deepEqual(operations, [began, "nothing in fork[1]", "nothing in none", "ended fork"])
  })

  it("without an observer nothing is a region", () => {
    let late: string[] = []
    parallel([
      () => {
        late = seen(() => r.launch(0))
      },
    ])
    assert.deepEqual(late, ["nothing in none"])
  })
})
