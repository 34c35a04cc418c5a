import process from "node:process"
import { checkOptions, mustBe } from "../common/check.js"
import { markAsOurs } from "../common/copy.js"
import type { DeviceOrder } from "../runtime/order/device-order.js"
import {
  type OverlapEntry,
  type OverlapKey,
  type OverlapNote,
  OverlapPolicy,
  type OverlapTurn,
} from "../runtime/order/overlap-policy.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import type { CallKind } from "./call-kind.js"
import type { EntryOwner } from "./entry.js"
import { type DeviceFacts, deviceFacts } from "./environment.js"
import { decisionOf, type OverlapDecision } from "./overlap-decision.js"
import { reportOf } from "./report.js"
import { Sampler, type SamplingCost } from "./sampler.js"
import type { StoredDecision } from "./stored.js"
import { Table } from "./table.js"
import { countForkJoin, isEarly, onceWarm } from "./warmth.js"

/** Options of {@link measuredOverlap}. */
export interface MeasuredOverlapOptions {
  /** The policy's name in reports, messages and traces. In a file, each name has decisions of its own. */
  readonly name: string
}

const optionNames: ReadonlySet<string> = new Set(["name"] satisfies (keyof MeasuredOverlapOptions)[])

/**
 * Decides for each key whether calls overlap, from the times of the program's own calls. Made by {@link measuredOverlap}.
 * Use it only in the thread that made it.
 */
export class MeasuredOverlap extends OverlapPolicy {
  /** The name in messages, in reports and in the file. */
  readonly name: string
  readonly #owner: EntryOwner
  /** By the identity of the device. */
  readonly #tables = new Map<string, Table>()
  /** The table of the latest call. */
  #latest: Table | undefined

  /** @internal */
  constructor(name: string) {
    super()
    this.name = name
    this.#owner = {
      name,
      get isEarly() {
        return isEarly()
      },
      decided: () => {},
    }
    onceWarm(() => this.#measureAgain())
  }

  /**
   * What is known of each key by now, in the order of their first calls. Data for programs; {@link report} is for people.
   *
   * @example
   * policy.decisions.find(({ key }) => key === 256)?.mode // "parallel", "sequential" or undefined
   */
  get decisions(): OverlapDecision[] {
    for (const { sampler } of this.#tables.values()) sampler?.read()
    return [...this.#tables.values()].flatMap(({ device, eager, captured }) => [
      ...Array.from(eager.values(), (entry) => decisionOf(device.environment.device, "eager", entry)),
      ...Array.from(captured.values(), (entry) => decisionOf(device.environment.device, "captured", entry)),
    ])
  }

  /**
   * Prints a table of all keys: the mode, the median cost of a call in each mode, how many pairs of calls were measured, and
   * what reading the times has cost.
   *
   * @param write gets the text; default: standard output
   * @returns the text
   * @throws AuxstreamError AUX_INVALID_ARGUMENT; what `write` throws
   */
  report(write: (text: string) => void = (text) => void process.stdout.write(text)): string {
    if (typeof write !== "function") throw mustBe("write", "a function", write)
    const text = reportOf(this.name, this.decisions, this.#costs())
    write(text)
    return text
  }

  #costs(): SamplingCost[] {
    return [...this.#tables.values()].flatMap(({ order }) => (order === undefined ? [] : [Sampler.of(order).cost]))
  }

  /** @internal */
  turnOf(main: StreamState, key: OverlapKey): OverlapTurn {
    countForkJoin()
    const table = this.#tableOf(main.order)
    if (main.capture !== undefined) return this.#captured(table, key)
    table.sampler?.noteCall(main)
    return table.entryOf(key).next(main)
  }

  /** Nothing is timed inside a capture. */
  #captured(table: Table, key: OverlapKey): OverlapTurn {
    const mode = table.findCaptured(key)?.decision
    const phase = mode === undefined ? "unmeasured" : "decided"
    return { mode: mode ?? "parallel", note: { name: this.name, key, phase }, sample: undefined }
  }

  /** @internal */
  unmeasured(key: OverlapKey): OverlapNote {
    return { name: this.name, key, phase: "unmeasured" }
  }

  /** @internal */
  capturedEntry(order: DeviceOrder, key: OverlapKey): OverlapEntry {
    return this.#tableOf(order).capturedEntryOf(key)
  }

  #tableOf(order: DeviceOrder): Table {
    const latest = this.#latest
    return latest !== undefined && latest.order === order ? latest : this.#findTable(order)
  }

  #findTable(order: DeviceOrder): Table {
    const device = deviceFacts(order.driver)
    const table = this.#tables.get(device.identity) ?? this.#addTable(device)
    if (table.order !== order) table.open(order)
    this.#latest = table
    return table
  }

  #addTable(device: DeviceFacts): Table {
    const table = new Table(device, this.#owner, (kind, key) => this.#stored(device, kind, key))
    this.#tables.set(device.identity, table)
    return table
  }

  #stored(_device: DeviceFacts, _kind: CallKind, _key: OverlapKey): StoredDecision | undefined {
    return undefined
  }

  /** Measures anew what was decided early. */
  #measureAgain(): void {
    for (const { eager } of this.#tables.values()) for (const entry of eager.values()) entry.measureAgain()
  }
}

markAsOurs(MeasuredOverlap)

/**
 * Makes a policy that measures whether the functions of a call run faster side by side or one after another. Give it to
 * `maybeExecuteInParallel`, `executeInParallel`, `parallel` or `captureGraph`, with a key that names the shape of the call.
 *
 * The policy alternates the calls of each key between both modes and times them with events on the current stream. After at
 * most 19 calls in each mode it decides. Rare checks change a decision that does not hold any more.
 *
 * @param options the name, which messages and the report show
 * @throws AuxstreamError AUX_INVALID_ARGUMENT
 * @example
 * const policy = measuredOverlap({ name: "experts" })
 * const [routed, shared] = maybeExecuteInParallel(() => experts(x), () => sharedExpert(x), event0, event1, aux, {
 *   overlap: policy,
 *   key: tokens,
 * })
 */
export function measuredOverlap(options: MeasuredOverlapOptions): MeasuredOverlap {
  if (options === undefined) throw mustBe("options", "an object such as { name }", options)
  checkOptions(options, "options", optionNames)
  const { name } = options
  if (typeof name !== "string" || name === "") throw mustBe("name", "a string that is not empty", name)
  return new MeasuredOverlap(name)
}
