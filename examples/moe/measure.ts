/** Times passes in sequence and side by side, eager and captured, alternately, with events on the device. */

import type { Device, DeviceArray, Event } from "auxstream"
import type { Branches, LayerOutput, Model, Output } from "./model.js"
import { type Decided, type Graphs, Ways } from "./ways.js"

type Hidden = DeviceArray<"float32">

/** Milliseconds: medians over the rounds. */
export interface Measurement {
  /** A pass with the branches in sequence. */
  readonly sequential: number
  /** A pass with the branches side by side, by hand. */
  readonly parallel: number
  /** A pass that is written in sequence, and placed on streams by autoParallel. */
  readonly automatic: number
  /** A pass whose branches run as a policy has measured. */
  readonly measured: number
  /** The four as graphs: captured once, launched each time. */
  readonly capturedSequential: number
  readonly capturedParallel: number
  readonly capturedAutomatic: number
  readonly capturedMeasured: number
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
  readonly #ways: Ways
  readonly #signal: AbortSignal

  constructor(device: Device, model: Model, tokens: DeviceArray<"uint8">, signal: AbortSignal) {
    this.#device = device
    this.#model = model
    this.#tokens = tokens
    this.#signal = signal
    this.#ways = new Ways(device, tokens.length, (branches) => model.forward(tokens, branches).hidden)
  }

  /** One pass each way, and one for the branches alone, because the events around them take time. */
  async round(): Promise<Round> {
    const branches = new BranchTimes(this.#device)
    const { eager, graphs } = this.#ways
    const sequential = await this.#time(eager.sequential)
    const parallel = await this.#time(eager.parallel)
    const automatic = await this.#time(eager.automatic)
    const measured = await this.#time(eager.measured)
    const capturedSequential = await this.#captured(graphs.sequential)
    const capturedParallel = await this.#captured(graphs.parallel)
    const capturedAutomatic = await this.#captured(graphs.automatic)
    const capturedMeasured = await this.#captured(graphs.measured)
    await this.#time(() => this.#model.forward(this.#tokens, branches.around(this.#ways.inSequence)).hidden)
    return {
      sequential: sequential.milliseconds,
      parallel: parallel.milliseconds,
      automatic: automatic.milliseconds,
      measured: measured.milliseconds,
      capturedSequential: capturedSequential.milliseconds,
      capturedParallel: capturedParallel.milliseconds,
      capturedAutomatic: capturedAutomatic.milliseconds,
      capturedMeasured: capturedMeasured.milliseconds,
      queueing: parallel.queueing,
      capturedQueueing: capturedParallel.queueing,
      ...branches.take(),
      eager: [sequential, parallel, automatic, measured].map(({ hidden }) => hidden),
      captured: [capturedSequential, capturedParallel, capturedAutomatic, capturedMeasured].map(({ hidden }) => hidden),
    }
  }

  /** Passes until the policy has decided, at most so many. @returns what it has decided by then */
  async decide(most: number): Promise<Decided> {
    const { eager, graphs } = this.#ways
    for (let pass = 0; pass < most && !this.#ways.isDecided; pass++) {
      await this.#time(eager.measured)
      await this.#captured(graphs.measured)
    }
    return this.#ways.decided
  }

  get graphs(): Graphs {
    return this.#ways.graphs
  }

  /** The results of a sequential pass. */
  output(): Output {
    return this.#model.forward(this.#tokens, this.#ways.inSequence)
  }

  /** One layer, sequentially, with its intermediate results. */
  layer(index: number, hidden: Hidden): LayerOutput {
    return this.#model.layer(index, hidden, this.#ways.inSequence)
  }

  /** See `Device.scope`. */
  scope<T>(fn: () => T): T {
    return this.#device.scope(fn)
  }

  /** Clears the result first, so that reading it shows what this launch wrote. */
  #captured(graph: Graphs["parallel"]): Promise<Timed> {
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

  /** Records an event before each branch and one after it. */
  around(branches: Branches): Branches {
    return (routed, shared) =>
      branches(
        () => this.#observe("routed", routed),
        () => this.#observe("shared", shared),
      )
  }

  #observe<T>(branch: "routed" | "shared", fn: () => T): T {
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
    automatic: of("automatic"),
    measured: of("measured"),
    capturedSequential: of("capturedSequential"),
    capturedParallel: of("capturedParallel"),
    capturedAutomatic: of("capturedAutomatic"),
    capturedMeasured: of("capturedMeasured"),
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
