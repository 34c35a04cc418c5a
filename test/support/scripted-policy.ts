import type { DeviceOrder } from "../../src/runtime/order/device-order.js"
import {
  type OverlapEntry,
  type OverlapKey,
  type OverlapMode,
  type OverlapNote,
  type OverlapPhase,
  OverlapPolicy,
  type OverlapSample,
  type OverlapTurn,
} from "../../src/runtime/order/policy/overlap-policy.js"
import type { StreamState } from "../../src/runtime/order/stream-state.js"

/** A policy that alternates calls until the test decides. It begins in parallel, measures every call, and logs all that it is asked. */
export class ScriptedPolicy extends OverlapPolicy {
  readonly name = "scripted"
  readonly log: string[] = []
  decision: OverlapMode | undefined
  /** What every call gets; undefined to alternate. */
  fixed: OverlapMode | undefined
  #calls = 0

  override turnOf(main: StreamState, key: OverlapKey): OverlapTurn {
    return this.#turn(main, key)
  }

  override unmeasured(key: OverlapKey): OverlapNote {
    return this.#note(key, "unmeasured")
  }

  override capturedEntry(_order: DeviceOrder, key: OverlapKey): OverlapEntry {
    const decided = (): OverlapMode | undefined => this.decision
    return {
      get decision() {
        return decided()
      },
      next: (main) => this.#turn(main, key),
      abandon: () => void this.log.push("abandon"),
      wasResident: () => void this.log.push("wasResident"),
    }
  }

  /** The log since the last call. */
  take(): string[] {
    return this.log.splice(0)
  }

  #note(key: OverlapKey, phase: OverlapPhase): OverlapNote {
    return { name: this.name, key, phase }
  }

  #turn(main: StreamState, key: OverlapKey): OverlapTurn {
    const mode = this.fixed ?? (this.#calls++ % 2 === 0 ? "parallel" : "sequential")
    return { mode, note: this.#note(key, "measuring"), sample: this.#sample(main, mode) }
  }

  #sample(main: StreamState, mode: OverlapMode): OverlapSample {
    const note = (what: string) => void this.log.push(`${mode} ${what} on ${main.name} at ${main.tick}`)
    return { begin: () => note("begins"), end: (outcome) => note(outcome) }
  }
}
