/** Times passes in sequence and side by side, eager and captured, in turns, with events on the device. */

import { captureGraph, type Device, type DeviceArray, type Event, type Graph } from "auxstream"
import type { LayerOutput, Lanes, Model, Observe, Output } from "./model.js"

type Hidden = DeviceArray<"float32">

/** Milliseconds: medians over the rounds. */
export interface Measurement {
  /** A pass with the branches in sequence. */
  readonly sequential: number
  /** A pass with the branches side by side. */
  readonly parallel: number
  /** The two as graphs: captured once, launched each time. */
  readonly capturedSequential: number
  readonly capturedParallel: number
  /** The time of the calling thread until the side-by-side passes are queued. */
  readonly queueing: number
  readonly capturedQueueing: number
  /** All layers' routed branches, each alone on the device. */
  readonly routed: number
  /** All layers' shared branches, each alone on the device. */
  readonly shared: number
  /** The sum of the longer branch of each layer: no pass can be shorter. */
  readonly longer: number
}

/** The times of one round, and the final states of each pass. */
export interface Round extends Measurement {
  readonly eager: readonly Float32Array[]
  readonly captured: readonly Float32Array[]
}

/** One pass. */
interface Timed {
  readonly milliseconds: number
  readonly queueing: number
  readonly hidden: Float32Array
}

/** Times single passes of a model. */
export class Bench {
  readonly #device: Device
  readonly #model: Model
  readonly #tokens: DeviceArray<"uint8">
  readonly #sequential: Lanes
  readonly #parallel: Lanes
  readonly #signal: AbortSignal
  #graphs: { readonly sequential: Graph<Hidden>; readonly parallel: Graph<Hidden> } | undefined

  constructor(device: Device, model: Model, tokens: DeviceArray<"uint8">, signal: AbortSignal) {
    this.#device = device
    this.#model = model
    this.#tokens = tokens
    this.#signal = signal
    const events = { event0: device.createEvent(), event1: device.createEvent() }
    this.#sequential = { ...events, aux: null }
    this.#parallel = { ...events, aux: device.createStream({ name: "aux" }) }
  }

  /** One pass each way, and one for the branches alone, because the events around them take time. */
  async round(): Promise<Round> {
    const branches = new BranchTimes(this.#device)
    const sequential = await this.#eager(this.#sequential)
    const parallel = await this.#eager(this.#parallel)
    const capturedSequential = await this.#captured(this.graphs.sequential)
    const capturedParallel = await this.#captured(this.graphs.parallel)
    await this.#eager(this.#sequential, branches.observe)
    return {
      sequential: sequential.milliseconds,
      parallel: parallel.milliseconds,
      capturedSequential: capturedSequential.milliseconds,
      capturedParallel: capturedParallel.milliseconds,
      queueing: parallel.queueing,
      capturedQueueing: capturedParallel.queueing,
      ...branches.take(),
      eager: [sequential.hidden, parallel.hidden],
      captured: [capturedSequential.hidden, capturedParallel.hidden],
    }
  }

  /** Whole passes, captured at first use. By then an eager pass has loaded all kernels. */
  get graphs(): { readonly sequential: Graph<Hidden>; readonly parallel: Graph<Hidden> } {
    const capture = (lanes: Lanes) => captureGraph(() => this.#model.forward(this.#tokens, lanes).hidden)
    this.#graphs ??= { sequential: capture(this.#sequential), parallel: capture(this.#parallel) }
    return this.#graphs
  }

  /** The results of a sequential pass. */
  output(): Output {
    return this.#model.forward(this.#tokens, this.#sequential)
  }

  /** One layer, sequentially, with its intermediate results. */
  layer(index: number, hidden: Hidden): LayerOutput {
    return this.#model.layer(index, hidden, this.#sequential)
  }

  /** See `Device.scope`. */
  scope<T>(fn: () => T): T {
    return this.#device.scope(fn)
  }

  #eager(lanes: Lanes, observe?: Observe): Promise<Timed> {
    return this.#time(() => this.#model.forward(this.#tokens, lanes, observe).hidden)
  }

  /** Clears the result first, so that reading it shows what this launch wrote. */
  #captured(graph: Graph<Hidden>): Promise<Timed> {
    graph.result.fill(NaN)
    return this.#time(() => {
      graph.launch()
      return graph.result
    })
  }

  /** The scope frees the arrays of an eager pass. Those of a graph belong to the graph. */
  #time(queue: () => Hidden): Promise<Timed> {
    return this.#device.scope(async () => {
      using start = this.#device.createEvent({ timing: true })
      using end = this.#device.createEvent({ timing: true })
      start.record()
      const begun = performance.now()
      const hidden = queue()
      const queueing = performance.now() - begun
      end.record()
      await end.completed({ signal: this.#signal })
      return { milliseconds: start.elapsedTime(end), queueing, hidden: await hidden.read() }
    })
  }
}

/** The times of the two branches of each layer. */
class BranchTimes {
  readonly #device: Device
  readonly #spans: { branch: "routed" | "shared"; start: Event; end: Event }[] = []

  constructor(device: Device) {
    this.#device = device
  }

  /** Records an event before a branch and one after it. */
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
  const of = (figure: keyof Measurement) => median(rounds.map((round) => round[figure]))
  return {
    sequential: of("sequential"),
    parallel: of("parallel"),
    capturedSequential: of("capturedSequential"),
    capturedParallel: of("capturedParallel"),
    queueing: of("queueing"),
    capturedQueueing: of("capturedQueueing"),
    routed: of("routed"),
    shared: of("shared"),
    longer: of("longer"),
  }
}

/** Whether these are bit-identical. */
export function allEqual(rows: readonly Float32Array[]): boolean {
  const [first, ...others] = rows.map((row) => Buffer.from(row.buffer, row.byteOffset, row.byteLength))
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
