/** The ways of running a pass: in sequence, side by side by hand, placed by the library, and as a policy has measured. */

import {
  autoParallel,
  captureGraph,
  type Device,
  type DeviceArray,
  type Graph,
  maybeExecuteInParallel,
  measuredOverlap,
  type MeasuredOverlap,
} from "auxstream"
import type { Branches } from "./model.js"

type Hidden = DeviceArray<"float32">

export type Way = "sequential" | "parallel" | "automatic" | "measured"
export type Graphs = Readonly<Record<Way, Graph<Hidden>>>

/** How the policy decided; undefined before. */
export type Decided = Readonly<Record<"eager" | "captured", "parallel" | "sequential" | undefined>>

/** Passes of one model with one number of tokens. */
export class Ways {
  readonly inSequence: Branches
  /** Each queues a pass. */
  readonly eager: Readonly<Record<Way, () => Hidden>>
  readonly #device: Device
  readonly #policy: MeasuredOverlap = measuredOverlap({ name: "experts" })
  readonly #tokens: number
  #graphs: Graphs | undefined

  /** @param forward queues a pass whose layers run their branches like this */
  constructor(device: Device, tokens: number, forward: (branches: Branches) => Hidden) {
    const [event0, event1, aux] = [device.createEvent(), device.createEvent(), device.createStream({ name: "aux" })]
    const decision = { overlap: this.#policy, key: tokens }
    const inSequence: Branches = (routed, shared) => maybeExecuteInParallel(routed, shared, event0, event1, null)
    const byHand: Branches = (routed, shared) => maybeExecuteInParallel(routed, shared, event0, event1, aux)
    const measured: Branches = (routed, shared) => maybeExecuteInParallel(routed, shared, event0, event1, aux, decision)
    const plain: Branches = (routed, shared) => [routed(), shared()]
    this.#device = device
    this.#tokens = tokens
    this.inSequence = inSequence
    this.eager = {
      sequential: () => forward(inSequence),
      parallel: () => forward(byHand),
      automatic: () => autoParallel(() => forward(plain), { device }),
      measured: () => forward(measured),
    }
  }

  /** Whole passes, captured at first use. By then an eager pass has loaded all kernels. */
  get graphs(): Graphs {
    return (this.#graphs ??= this.#capture())
  }

  /** The policy measures whole graphs, not the branches inside. */
  #capture(): Graphs {
    const device = this.#device
    const { sequential, parallel, automatic } = this.eager
    return {
      sequential: captureGraph(sequential, { device }),
      parallel: captureGraph(parallel, { device }),
      automatic: captureGraph(automatic, { device }),
      measured: captureGraph(parallel, { device, overlap: this.#policy, key: this.#tokens }),
    }
  }

  get decided(): Decided {
    const of = (call: "eager" | "captured") => this.#policy.decisions.find((decision) => decision.call === call)?.mode
    return { eager: of("eager"), captured: of("captured") }
  }

  get isDecided(): boolean {
    const { eager, captured } = this.decided
    return eager !== undefined && captured !== undefined
  }
}
