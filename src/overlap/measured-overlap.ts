import process from "node:process"
import { checkOptions, mustBe } from "../common/check.js"
import { markAsOurs } from "../common/copy.js"
import { AuxstreamError } from "../common/errors.js"
import { showThrown } from "../common/show.js"
import { warn } from "../common/warn.js"
import type { DeviceOrder } from "../runtime/order/device-order.js"
import {
  type OverlapEntry,
  type OverlapKey,
  type OverlapNote,
  OverlapPolicy,
  type OverlapTurn,
} from "../runtime/order/policy/overlap-policy.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import type { Entry, EntryOwner } from "./entry.js"
import { decisionKey, type Section } from "./file/contents.js"
import { DecisionFile } from "./file/decision-file.js"
import { type DeviceFacts, deviceFacts, environmentKey } from "./file/environment.js"
import { Saving } from "./file/saving.js"
import type { CallKind, StoredDecision } from "./file/stored.js"
import { decisionOf, type OverlapDecision } from "./overlap-decision.js"
import { reportOf } from "./report.js"
import { Sampler, type SamplingCost } from "./sampling/sampler.js"
import { Table } from "./table.js"
import { countForkJoin, isEarly, onceWarm } from "./warmth.js"

/** Options of {@link measuredOverlap}. */
export interface MeasuredOverlapOptions {
  /** The policy's name in reports, messages and traces. In a file, each name has decisions of its own. */
  readonly name: string
  /**
   * A file that keeps decisions across processes: a path, relative to the current folder, or a `file:` URL. Its folder must
   * exist. Several policies, processes and kinds of GPU may share it.
   */
  readonly file?: string | URL | undefined
}

const optionNames: ReadonlySet<string> = new Set(["name", "file"] satisfies (keyof MeasuredOverlapOptions)[])

/**
 * Decides for each key whether calls overlap, from the times of the program's own calls. Made by {@link measuredOverlap}.
 * Use it only in the thread that made it.
 */
export class MeasuredOverlap extends OverlapPolicy {
  /** The policy's name in messages, in reports and in the file. */
  readonly name: string
  readonly #owner: EntryOwner
  readonly #file: DecisionFile | undefined
  readonly #saving: Saving | undefined
  /** What the file had about this policy when it was made, by environment. */
  readonly #known: ReadonlyMap<string, Section> | undefined
  /** By the identity of the device. */
  readonly #tables = new Map<string, Table>()
  /** The table of the latest call. */
  #latest: Table | undefined

  /** @internal */
  constructor(name: string, file: DecisionFile | undefined) {
    super()
    this.name = name
    this.#file = file
    this.#known = file?.read().get(name)
    const saving = file === undefined ? undefined : new Saving((waits) => this.#tryToSave(waits))
    this.#saving = saving
    this.#owner = {
      name,
      get isEarly() {
        return isEarly()
      },
      decided: () => saving?.request(),
    }
    onceWarm(() => this.#measureAgain())
  }

  /**
   * The state of each key, in the order of their first calls. {@link report} shows the same as a table.
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
   * Prints a table of all keys: the mode, the median cost of a call in each mode, and the number of measured pairs of
   * calls. It also says how much time reading the times took.
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

  #stored({ environment }: DeviceFacts, call: CallKind, key: OverlapKey): StoredDecision | undefined {
    return this.#known?.get(environmentKey(environment))?.decisions.get(decisionKey({ call, key }))
  }

  /**
   * Writes all decisions to the file now. Without this call, they are written about a second after they were made, and when
   * the process ends.
   *
   * @throws AuxstreamError AUX_INVALID_ARGUMENT if the policy has no file, AUX_FILE_FAILED
   */
  save(): void {
    if (this.#file === undefined) throw mustBe("file", "given to measuredOverlap() to save decisions", undefined)
    if (!this.#file.add(this.name, this.#sections(), true)) {
      throw new AuxstreamError(
        "AUX_FILE_FAILED",
        `The file of overlap decisions ${this.#file.path}: another process holds its lock. Call save() again.`,
      )
    }
    this.#saving?.saved()
  }

  #tryToSave(waits: boolean): boolean {
    try {
      return this.#file?.add(this.name, this.#sections(), waits) ?? true
    } catch (error) {
      warn("AUX_UNSAVED", showThrown(error instanceof Error ? error.message : error))
      return true
    }
  }

  /** What this process has decided, as the file keeps it. */
  #sections(): Section[] {
    return Array.from(this.#tables.values(), ({ device: { environment }, eager, captured }) => {
      const all = [...storedIn("eager", eager), ...storedIn("captured", captured)]
      return { environment, decisions: new Map(all.map((decision) => [decisionKey(decision), decision])) }
    })
  }

  /** Measures anew what was decided early. */
  #measureAgain(): void {
    for (const { eager } of this.#tables.values()) for (const entry of eager.values()) entry.measureAgain()
  }
}

markAsOurs(MeasuredOverlap)

/** The decisions that this process made. Those made under an observer, such as a trace, hold only for it. */
function storedIn(call: CallKind, entries: ReadonlyMap<OverlapKey, Entry>): StoredDecision[] {
  return [...entries.values()].flatMap(({ key, evidence, time, isEarly, isObserved }) => {
    if (evidence === undefined || time === undefined || isObserved) return []
    const { parallel, sequential } = evidence.comparison
    return {
      ...{ call, key, mode: evidence.mode },
      ...{ parallelMicroseconds: rounded(parallel), sequentialMicroseconds: rounded(sequential) },
      ...{ pairs: evidence.pairs, early: isEarly, decided: time.toISOString() },
    }
  })
}

/** To four digits, which is more than the times are worth. */
function rounded(microseconds: number): number {
  return Number(microseconds.toPrecision(4))
}

/**
 * Makes a policy that measures whether the functions of a call run faster side by side or one after another. Pass it to
 * `maybeExecuteInParallel`, `executeInParallel`, `parallel` or `captureGraph`, with a key that stands for the shape of
 * the call.
 *
 * The policy alternates the calls of each key between both modes, at most 19 calls each, and times them with events on the
 * current stream. Before it chooses the sequential mode, it times two or four runs of nine calls in each mode. Rare checks
 * change a decision that no longer holds.
 *
 * A file that is broken, or has other contents, is refused and never overwritten.
 *
 * @param options the policy's name, and a file for its decisions
 * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_FILE_FAILED
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
  const { name, file } = options
  if (typeof name !== "string" || name === "") throw mustBe("name", "a string that is not empty", name)
  return new MeasuredOverlap(name, file === undefined ? undefined : new DecisionFile(file))
}
