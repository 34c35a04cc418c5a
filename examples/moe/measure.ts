/** Times passes one after the other and side by side, in turns, with events on the device. */

import type { Device, DeviceArray, Event } from "auxstream"
import type { LayerOutput, Lanes, Model, Observe, Output } from "./model.js"

/** Milliseconds: medians over the rounds. */
export interface Measurement {
  /** A pass with the branches one after the other. */
  readonly sequential: number
  /** A pass with the branches side by side. */
  readonly parallel: number
  /** All layers' routed branches, each alone on the device. */
  readonly routed: number
  /** All layers' shared branches, each alone on the device. */
  readonly shared: number
  /** The longer branch of each layer: no pass can be shorter than that. */
  readonly longer: number
}

/** What one round gives: its times, and the final states of both ways. */
export interface Round extends Measurement {
  readonly sequentialHidden: Float32Array
  readonly parallelHidden: Float32Array
}

/** Times single passes of a model. */
export class Bench {
  readonly #device: Device
  readonly #model: Model
  readonly #tokens: DeviceArray<"uint8">
  readonly #sequential: Lanes
  readonly #parallel: Lanes
  readonly #signal: AbortSignal

  constructor(device: Device, model: Model, tokens: DeviceArray<"uint8">, signal: AbortSignal) {
    this.#device = device
    this.#model = model
    this.#tokens = tokens
    this.#signal = signal
    const events = { event0: device.createEvent(), event1: device.createEvent() }
    this.#sequential = { ...events, aux: null }
    this.#parallel = { ...events, aux: device.createStream({ name: "aux" }) }
  }

  /** One pass each way, and one for the branches alone, as the events around them take time, too. */
  async round(): Promise<Round> {
    const branches = new BranchTimes(this.#device)
    const sequential = await this.#pass(this.#sequential)
    const parallel = await this.#pass(this.#parallel)
    await this.#pass(this.#sequential, branches.observe)
    return {
      sequential: sequential.milliseconds,
      parallel: parallel.milliseconds,
      ...branches.take(),
      sequentialHidden: sequential.hidden,
      parallelHidden: parallel.hidden,
    }
  }

  /** A sequential pass, for what it gives. */
  output(): Output {
    return this.#model.forward(this.#tokens, this.#sequential)
  }

  /** One layer, sequentially, with all that it found out. */
  layer(index: number, hidden: DeviceArray<"float32">): LayerOutput {
    return this.#model.layer(index, hidden, this.#sequential)
  }

  /** See `Device.scope`. */
  scope<T>(fn: () => T): T {
    return this.#device.scope(fn)
  }

  async #pass(lanes: Lanes, observe?: Observe): Promise<{ milliseconds: number; hidden: Float32Array }> {
    const start = this.#device.createEvent({ timing: true })
    const end = this.#device.createEvent({ timing: true })
    start.record()
    const { states, experts } = this.#model.forward(this.#tokens, lanes, observe)
    end.record()
    await end.completed({ signal: this.#signal })
    const hidden = await states.at(-1)?.read()
    const milliseconds = start.elapsedTime(end)
    for (const owned of [start, end, ...states, ...experts]) owned.dispose()
    return { milliseconds, hidden: hidden ?? new Float32Array() }
  }
}

/** The times of the two branches of each layer. */
class BranchTimes {
  readonly #device: Device
  readonly #spans: { branch: "routed" | "shared"; start: Event; end: Event }[] = []

  constructor(device: Device) {
    this.#device = device
  }

  /** Puts an event before a branch and one behind it. */
  readonly observe: Observe = (branch, fn) => {
    const start = this.#device.createEvent({ timing: true }).record()
    const result = fn()
    const end = this.#device.createEvent({ timing: true }).record()
    this.#spans.push({ branch, start, end })
    return result
  }

  /** The sums over the layers, once the pass is complete. */
  take(): { routed: number; shared: number; longer: number } {
    const routed = this.#milliseconds("routed")
    const shared = this.#milliseconds("shared")
    for (const { start, end } of this.#spans) for (const event of [start, end]) event.dispose()
    return { routed: sum(routed), shared: sum(shared), longer: sum(routed.map((r, i) => Math.max(r, shared[i] ?? 0))) }
  }

  #milliseconds(branch: "routed" | "shared"): number[] {
    return this.#spans.filter((span) => span.branch === branch).map(({ start, end }) => start.elapsedTime(end))
  }
}

/** The median of each figure over the rounds. */
export function medians(rounds: readonly Measurement[]): Measurement {
  return {
    sequential: median(rounds.map((round) => round.sequential)),
    parallel: median(rounds.map((round) => round.parallel)),
    routed: median(rounds.map((round) => round.routed)),
    shared: median(rounds.map((round) => round.shared)),
    longer: median(rounds.map((round) => round.longer)),
  }
}

/** Are the results of both ways the same, bit for bit, in every round? */
export function allEqual(rounds: readonly Round[]): boolean {
  const results = rounds.flatMap((round) => [round.sequentialHidden, round.parallelHidden])
  const [first, ...others] = results.map((row) => Buffer.from(row.buffer, row.byteOffset, row.byteLength))
  return first !== undefined && others.every((other) => other.equals(first))
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}
