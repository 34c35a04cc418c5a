/**
 * Compares what the sanitizer reports with what the model finds, operation by operation. A report is right if the model has
 * a race of the same two operations on the bytes that it names. A race is missed if it is certain, if no newer access
 * replaces the previous one, and if no report names the two operations.
 */
import { DataRaceError, type Stream } from "../../../../src/index.js"
import type { Race } from "../model/memory.js"
import { type Attempt, Model } from "../model/model.js"
import type { Operation } from "../model/order.js"

/** The sanitizer as far as the oracle needs it. */
export interface Sanitizer {
  stop(): void
}

/** A disagreement between the sanitizer and the model. */
export class Disagreement extends Error {}

/** What became of a program. */
export interface Counts {
  operations: number
  /** Operations with a race. */
  racing: number
  /** Pairs of operations with a race that must be reported. */
  races: number
  reports: number
  /** Races of two leases of one pool stream. */
  leases: number
  /** Pairs that need not be reported: the library orders more than it promises. */
  uncertain: number
  fixes: number
  /** Races that no wait can fix. */
  unfixable: number
  /** Waits that were left out, and how many of them were needed. */
  waits: number
  neededWaits: number
}

export function noCounts(): Counts {
  return {
    ...{
      operations: 0,
      racing: 0,
      races: 0,
      leases: 0,
      reports: 0,
      uncertain: 0,
      fixes: 0,
      unfixable: 0,
      waits: 0,
      neededWaits: 0,
    },
  }
}

/** What a report suggests: a wait, by the names of the two streams, or a synchronisation of the device. */
export type Fix = { readonly waiting: string; readonly recording: string } | "synchronize"

/** What an operation needs before it. */
export interface Repair {
  readonly fixes: Fix[]
  /** Whether nothing helps, so that the operation must not be queued at all. */
  isHopeless: boolean
}

/** What a run is to do with races. */
export interface JudgeOptions {
  /** Starts the sanitizer. Its reports are thrown if it gets no function. */
  readonly start: (onRace: ((race: DataRaceError) => void) | undefined) => Sanitizer
  readonly counts: Counts
  /** Collects the fix of each report, by the operation's id, and queues the operation again. */
  readonly collect?: Map<string, Repair>
  /** Fixes that an earlier run collected. */
  readonly repairs?: ReadonlyMap<string, Repair>
  /** The number of the wait to leave out, counted from 0. */
  readonly without?: number
}

/** Does what reports suggest, in both worlds. */
export interface Fixer {
  /** @returns undefined if the report has no call that can be made now */
  describe(fix: DataRaceError["fix"]): Fix | undefined
  apply(fix: Fix): void
}

interface Frame {
  attempt: Attempt | undefined
  readonly reports: DataRaceError[]
}

export class Judge {
  readonly model = new Model()
  readonly #options: JudgeOptions
  readonly #frames: Frame[] = []
  /** Reports outside of all operations. */
  readonly #stray: DataRaceError[] = []
  #sanitizer: Sanitizer | undefined
  #waits = 0
  #operations = 0
  /** The conditionals whose bodies are being captured. */
  readonly #conditionals: { readonly id: string; readonly around: Stream; operations: number }[] = []
  /** Whether a fix belongs before a conditional that has begun already, so that the program must run again. */
  mustRepeat = false

  constructor(options: JudgeOptions) {
    this.#options = options
  }

  /** Whether nothing may depend on how far the device is, because the program runs several times. */
  get isTimeless(): boolean {
    return this.#options.collect !== undefined || this.#options.repairs !== undefined
  }

  /** The number of waits so far that can be left out. */
  get waits(): number {
    return this.#waits
  }

  start(): void {
    if (this.#sanitizer !== undefined) return
    this.#sanitizer = this.#options.start(this.#options.collect ? undefined : (race) => this.#take(race))
    this.model.isWatching = true
  }

  #take(race: DataRaceError): void {
    this.#options.counts.reports++
    ;(this.#frames.at(-1)?.reports ?? this.#stray).push(race)
  }

  end(): void {
    this.#sanitizer?.stop()
    this.#expectNoStray()
  }

  #expectNoStray(): void {
    const [first] = this.#stray
    if (first !== undefined) throw new Disagreement(`a report outside of all operations: ${first.message}`)
  }

  /** Whether this wait is the one to be left out. */
  leavesOut(): boolean {
    return this.#waits++ === this.#options.without
  }

  /** Calls something that is no operation, or that can race with nothing. */
  quietly<T>(fn: () => T): T {
    this.#frames.push({ attempt: undefined, reports: [] })
    const result = fn()
    const [report] = this.#frames.pop()?.reports ?? []
    if (report !== undefined) throw new Disagreement(`a report of new memory: ${report.message}`)
    return result
  }

  /**
   * Queues an operation.
   *
   * @param attempt the operation in the model, anew for each attempt
   */
  operation(attempt: () => Attempt, queue: () => void, fixer: Fixer): void {
    const accepted = this.block(attempt, queue, fixer)
    if (accepted !== undefined) this.model.accept(accepted)
  }

  /**
   * The same for a conditional, which the model accepts by itself.
   *
   * @param around the stream of the conditional
   */
  block(attempt: () => Attempt, queue: () => void, fixer: Fixer, around?: Stream): Attempt | undefined {
    const id = this.#nextId()
    const known = this.#options.repairs?.get(id)
    if (known?.isHopeless === true) return undefined
    for (const fix of known?.fixes ?? []) if (!this.leavesOut()) fixer.apply(fix)
    if (around === undefined) return this.#untilQueued(id, attempt, queue, fixer)
    this.#conditionals.push({ id, around, operations: 0 })
    try {
      return this.#untilQueued(id, attempt, queue, fixer)
    } finally {
      this.#conditionals.pop()
    }
  }

  /** The same in each run of a program, also if a conditional before it could not be queued in one of them. */
  #nextId(): string {
    const conditional = this.#conditionals.at(-1)
    return conditional === undefined ? `${this.#operations++}` : `${conditional.id}.${conditional.operations++}`
  }

  #untilQueued(id: string, attempt: () => Attempt, queue: () => void, fixer: Fixer): Attempt | undefined {
    // Two leases of one stream may have queued the same, so that two reports are equal. Each fix must remove one of them.
    const left = new Map<string, number>()
    for (;;) {
      const tried = attempt()
      const error = this.#attempt({ attempt: tried, reports: [] }, queue)
      if (error === undefined) return tried
      const facts = factsOf(error)
      const same = tried.races.filter((race) => isOf(error, race)).length
      if (same >= (left.get(facts) ?? Infinity)) {
        throw new Disagreement(`the fix does not remove the report: ${error.message}`)
      }
      left.set(facts, same)
      if (!this.#repair(id, error, fixer)) return undefined
    }
  }

  /** @returns whether the operation can be queued now */
  #repair(id: string, { fix, current }: DataRaceError, fixer: Fixer): boolean {
    const conditional = fix.before.startsWith("the call of runIf() or runWhile()")
      ? this.#conditionals.find(({ around }) => around === fix.waiting)
      : undefined
    const { counts } = this.#options
    const found = fixer.describe(fix)
    const repair = this.#repairOf(conditional?.id ?? id)
    if (found === undefined) {
      // Races inside a graph can be fixed only where it is captured.
      if (current.stream.id !== 0) counts.unfixable++
      repair.isHopeless = true
      return false
    }
    counts.fixes++
    repair.fixes.push(found)
    if (conditional === undefined) fixer.apply(found)
    else this.mustRepeat = true
    return conditional === undefined
  }

  #repairOf(id: string): Repair {
    const { collect } = this.#options
    const repair = collect?.get(id) ?? { fixes: [], isHopeless: false }
    collect?.set(id, repair)
    return repair
  }

  /** @returns the report, if the sanitizer refused the operation */
  #attempt(frame: Frame, queue: () => void): DataRaceError | undefined {
    this.#frames.push(frame)
    let thrown: DataRaceError | undefined
    try {
      queue()
    } catch (error) {
      if (!(error instanceof DataRaceError) || this.#options.collect === undefined) throw error
      thrown = error
      frame.reports.push(error)
      this.#options.counts.reports++
    } finally {
      this.#frames.pop()
    }
    this.#expectNoStray()
    if (frame.attempt !== undefined) this.#compare(frame.attempt, frame.reports)
    return thrown
  }

  #compare({ races, operations }: Attempt, reports: readonly DataRaceError[]): void {
    const { counts } = this.#options
    const expected = races.filter(mustBeReported)
    counts.operations += operations.length
    counts.races += new Set(expected.map(pairOf)).size
    counts.leases += expected.filter(isOfTwoLeases).length
    counts.uncertain += races.filter(({ isCertain }) => !isCertain).length
    if (expected.length > 0) counts.racing++
    for (const report of reports) {
      if (races.some((race) => isOf(report, race))) continue
      throw new Disagreement(`a false report: ${report.message}\n${describe(races)}`)
    }
    // Only the first report is thrown.
    if (this.#options.collect !== undefined && reports.length > 0) return
    for (const race of expected) {
      const same = races.filter((one) => pairOf(one) === pairOf(race))
      if (reports.some((report) => same.some((one) => isOf(report, one)))) continue
      const all = reports.map(({ message }) => message).join("\n")
      throw new Disagreement(`a race is missed: ${describe([race])}\nof: ${describe(races)}\nreported: ${all}`)
    }
  }
}

/** The outermost level at which two operations are apart: 0 in the program, 1 in a graph that is launched there. */
function apartAt({ current, previous }: Race): number {
  return current.levels.findIndex(({ top }, level) => previous.levels[level]?.top !== top)
}

/**
 * Races in a graph are reported when it is captured. So a launch reports them only if an operation was captured before the
 * sanitizer started, or has got other arguments since.
 */
function mustBeReported(race: Race): boolean {
  const level = apartAt(race)
  if (level <= 0) return race.isCertain && race.isNewest
  return race.isCertain && [race.current, race.previous].some(({ levels }) => levels[level]?.isSeen === false)
}

function isOfTwoLeases({ current, previous }: Race): boolean {
  return current.stream === previous.stream && ![current, previous].some(({ levels }) => levels[0]?.top.isBlock)
}

/** Equal for races of the same two operations, as the program queued them. */
function pairOf(race: Race): string {
  const level = Math.max(0, apartAt(race))
  return [race.current, race.previous]
    .map(({ levels }) => levels.slice(0, level + 1).map(({ top }) => top.first))
    .join(" ")
}

function factsOf({ current, previous, range }: DataRaceError): string {
  return JSON.stringify([current, previous, range])
}

/** Whether the report tells of the race. */
function isOf({ current, previous, range }: DataRaceError, race: Race): boolean {
  const { address, byteLength } = range
  const bytes = Array.from({ length: byteLength }, (_, index) => address + index)
  return (
    byteLength > 0 &&
    bytes.every((byte) => race.addresses.includes(byte)) &&
    isOperation(current, race.current) &&
    isOperation(previous, race.previous)
  )
}

/** For these, a report of a race inside a graph may name the graph or the conditional that contains the operation. */
const containers: ReadonlySet<string> = new Set(["graph", "if", "unless", "while"])

function isOperation(
  { operation, stream }: DataRaceError["current"],
  { label, levels, stream: id }: Operation,
): boolean {
  if (levels[0]?.top.isBlock !== true) return operation === label && stream.id === id
  return operation === label || (stream.id === 0 && containers.has(operation))
}

function describe(races: readonly Race[]): string {
  return races
    .map(({ current, previous, addresses, isCertain, isNewest }) => {
      const what = ({ label, stream, levels }: Operation) => {
        const place = levels.map(({ top, isSeen }) => `${top.first}${isSeen ? "" : " unseen"}`).join(", ")
        return `${label} on stream ${stream} (${place})`
      }
      const facts = `${isCertain ? "" : ", possibly ordered"}${isNewest ? "" : ", replaced"}`
      return `${what(current)} after ${what(previous)} at ${addresses.join(" ")}${facts}`
    })
    .join("\n")
}
