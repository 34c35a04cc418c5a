import assert from "node:assert/strict"
import { availableParallelism } from "node:os"
import { test } from "node:test"
import fc from "fast-check"
import { HostDriver } from "../../../src/host/driver.js"
import type { EventHandle } from "../../../src/driver/handles.js"
import { captureContext } from "../../../src/runtime/device/context.js"
import { DeviceOrder } from "../../../src/runtime/order/device-order.js"
import { RecordPoint } from "../../../src/runtime/order/record-point.js"
import type { StreamState } from "../../../src/runtime/order/stream-state.js"
import { synchronizeStream } from "../../../src/runtime/order/synchronize.js"
import { Uses } from "../../../src/runtime/memory/uses.js"
import { RecordingDriver } from "../../support/recording-driver.js"

/** An operation of the model: its stream and its number, both never reused. */
type Operation = number

/** A stream, with every operation ordered before its next one. */
interface Modelled {
  readonly state: StreamState
  readonly known: Set<Operation>
}

/** An event, with every operation ordered before its latest record. */
interface ModelledEvent {
  readonly handle: EventHandle
  readonly point: RecordPoint
  known: Set<Operation>
}

/**
 * Compares vector clocks with plain sets of operations. Both must agree on the order of operations, on the waits that are
 * sent, and on the uses of memory that still count.
 */
class Comparison {
  readonly recording = new RecordingDriver(new HostDriver(2, availableParallelism(), "host"))
  readonly order = new DeviceOrder(this.recording.driver, captureContext)
  readonly hostKnows = new Set<Operation>()
  readonly #events: ModelledEvent[]
  readonly #memories = Array.from({ length: 3 }, () => ({ uses: new Uses(), model: new Map<Modelled, Operation>() }))
  readonly #streams: Modelled[]
  #operations = 0

  constructor() {
    this.#streams = Array.from({ length: 4 }, () => this.#stream())
    this.#events = Array.from({ length: 3 }, () => ({
      handle: this.order.events.acquire(),
      point: new RecordPoint(),
      known: new Set<Operation>(),
    }))
  }

  #stream(): Modelled {
    return { state: this.order.createStream(0, "a stream"), known: new Set() }
  }

  /** The operations before the stream's next one, including those that the host has seen done. */
  #knownTo(stream: Modelled): Set<Operation> {
    return new Set([...stream.known, ...this.hostKnows])
  }

  step([kind, first, second]: readonly [number, number, number]): void {
    const stream = this.#streams[first % this.#streams.length] ?? assert.fail()
    const other = this.#streams[second % this.#streams.length] ?? assert.fail()
    const event = this.#events[second % this.#events.length] ?? assert.fail()
    if (kind < 4) this.#operate(stream, second)
    else if (kind < 6) this.#record(stream, event)
    else if (kind < 8) this.#wait(stream, event)
    else if (kind < 10) this.#waitFor(stream, other)
    else if (kind < 11) this.#synchronize(stream)
    else this.#replace(first % this.#streams.length)
    this.#compare()
  }

  #operate(stream: Modelled, which: number): void {
    const memory = this.#memories[which % 3] ?? assert.fail()
    stream.state.enter()
    const known = this.#knownTo(stream)
    const tick = stream.state.advance(undefined)
    memory.uses.note(stream.state, tick)
    for (const [user, operation] of memory.model) if (user === stream || known.has(operation)) memory.model.delete(user)
    const operation = this.#operations++
    memory.model.set(stream, operation)
    stream.known.add(operation)
  }

  #record(stream: Modelled, event: ModelledEvent): void {
    stream.state.record(event.handle, event.point)
    event.known = this.#knownTo(stream)
  }

  #wait(stream: Modelled, event: ModelledEvent): void {
    this.#expectWaits(isSubset(event.known, this.#knownTo(stream)) ? 0 : 1, () => {
      stream.state.wait(event.handle, event.point, true)
    })
    for (const operation of event.known) stream.known.add(operation)
  }

  #waitFor(stream: Modelled, other: Modelled): void {
    if (stream === other) return
    const known = this.#knownTo(stream)
    this.#expectWaits(isSubset(other.known, known) ? 0 : 1, () => stream.state.waitFor(other.state))
    for (const operation of other.known) stream.known.add(operation)
  }

  #expectWaits(count: number, act: () => void): void {
    this.recording.take()
    act()
    assert.equal(this.recording.take("streams.wait").length, count, "waits that were sent")
  }

  #synchronize(stream: Modelled): void {
    synchronizeStream(stream.state)
    for (const operation of stream.known) this.hostKnows.add(operation)
  }

  /** Disposes of a stream. Another one replaces it, and later reuses its slot. */
  #replace(index: number): void {
    const stream = this.#streams[index] ?? assert.fail()
    synchronizeStream(stream.state)
    for (const operation of stream.known) this.hostKnows.add(operation)
    this.order.disposeStream(stream.state)
    this.#streams[index] = this.#stream()
  }

  #compare(): void {
    for (const { uses, model } of this.#memories) {
      for (const stream of this.#streams) {
        const known = this.#knownTo(stream)
        const behindAll = [...model.values()].every((operation) => known.has(operation))
        assert.equal(uses.isBefore(stream.state), behindAll, "behind every use")
      }
      const live = new Set(uses.list().map((use) => use.stream))
      for (const [user, operation] of model) {
        if (!this.hostKnows.has(operation)) assert.ok(live.has(user.state), "a use that counts was forgotten")
      }
    }
  }

  end(): void {
    this.order.close()
    this.recording.driver.close()
  }
}

test("§6 clocks agree with sets of operations on order, on waits that are sent, and on uses that count", () => {
  const step = fc.tuple(fc.nat({ max: 11 }), fc.nat({ max: 11 }), fc.nat({ max: 11 }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: "max" }), (steps) => {
      const comparison = new Comparison()
      try {
        for (const one of steps) comparison.step(one)
      } finally {
        comparison.end()
      }
    }),
    { numRuns: 300 },
  )
})

function isSubset(some: ReadonlySet<Operation>, all: ReadonlySet<Operation>): boolean {
  for (const one of some) if (!all.has(one)) return false
  return true
}
