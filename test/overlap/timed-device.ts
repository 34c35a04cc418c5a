/**
 * A device whose timing events give the times that a test wants, so that what a policy decides is certain. Fork-joins are
 * real, but their functions queue nothing unless a test does.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { setImmediate as turn } from "node:timers/promises"
import { hostBackend } from "../../src/host/backend.js"
import {
  type MeasuredOverlap,
  maybeExecuteInParallel,
  type OverlapKey,
  type OverlapMode,
  type ParallelMessage,
} from "../../src/index.js"
import type { Driver } from "../../src/driver/driver.js"
import { Device } from "../../src/runtime/device/device.js"
import { type DriverMethod, proxied } from "../support/driver-proxy.js"

const noop = () => {}

/** See the head of this file. */
export class TimedDevice {
  readonly device: Device
  readonly aux
  readonly event0
  readonly event1
  /** What a call in each mode takes on the stream, in microseconds. */
  truth: Record<OverlapMode, number> = { parallel: 100, sequential: 200 }
  /** Whether the program waits for each result, so that what the thread takes does not count. */
  waits = true
  /** Whether timing events are done. */
  isReady = true
  /** Whether the default stream says that it has nothing to do. */
  isIdle = false
  /** Whether asking about timing events throws, as on a broken stream. */
  isBroken = false
  /** The method that throws for timing events. */
  fails: "events.create" | "events.record" | undefined
  /** How many timing events were made. */
  created = 0
  /** The messages of all calls. */
  readonly messages: ParallelMessage[] = []
  /** How many timing events were recorded. */
  records = 0
  /** How many times were read. */
  reads = 0
  readonly #modes = new Map<unknown, OverlapMode>()
  readonly #timing = new Set<unknown>()
  readonly #note = (message: unknown) => void this.messages.push(message as ParallelMessage)

  constructor(inner: Driver = hostBackend.open(0, { threads: 2 })) {
    const driver = proxied(inner, (name, args, call) => this.#around(name, args, call))
    this.device = new Device("host", driver, () => {})
    this.aux = this.device.createStream({ name: "aux" })
    this.event0 = this.device.createEvent()
    this.event1 = this.device.createEvent()
    subscribe("auxstream:parallel", this.#note)
  }

  #around(name: DriverMethod, args: readonly unknown[], call: () => unknown): unknown {
    const [first] = args
    const isTiming = name === "events.create" ? first === true : this.#timing.has(first)
    if (isTiming && (name === this.fails || (this.isBroken && name === "events.query"))) throw new Error(name)
    if (name === "events.create" && first === true) {
      this.created += 1
      const event = call()
      this.#timing.add(event)
      return event
    }
    if (name === "events.record" && this.#timing.has(first)) this.#recorded(first)
    if (name === "events.query" && this.#timing.has(first)) return this.isReady
    if (name === "streams.query" && first === this.device.defaultStream.state.handle) return this.isIdle
    if (name !== "events.elapsedTime") return call()
    this.reads += 1
    return this.truth[this.#modes.get(args[1]) ?? "parallel"] / 1e3
  }

  /** An end event is recorded in the mode of the latest message; a start event too early, but that is overwritten. */
  #recorded(event: unknown): void {
    this.records += 1
    this.#modes.set(event, this.messages.at(-1)?.mode ?? "parallel")
  }

  /** One call. */
  call(overlap: MeasuredOverlap, key: OverlapKey, fn0: () => unknown = noop, fn1: () => unknown = noop): unknown {
    if (this.waits) this.device.order.waits += 1
    return maybeExecuteInParallel(fn0, fn1, this.event0, this.event1, this.aux, { overlap, key })
  }

  /** Several calls, in one turn of the event loop. */
  calls(count: number, overlap: MeasuredOverlap, key: OverlapKey): void {
    for (let made = 0; made < count; made++) this.call(overlap, key)
  }

  /** Calls until the key is decided. */
  async decide(overlap: MeasuredOverlap, key: OverlapKey): Promise<OverlapMode> {
    for (let count = 0; count < 100; count++) {
      const mode = overlap.decisions.find((decision) => decision.key === key)?.mode
      if (mode !== undefined) return mode
      this.calls(4, overlap, key)
      await turn()
    }
    throw new Error("no decision")
  }

  /** Messages since the last call, as `"warm-up parallel"`. */
  take(): string[] {
    return this.messages.splice(0).map(({ mode, policy }) => `${policy?.phase} ${mode}`)
  }

  [Symbol.dispose](): void {
    unsubscribe("auxstream:parallel", this.#note)
    this.device.dispose()
  }
}
