import { checkBoolean, checkOptions, mustBe } from "../common/check.js"
import { warn } from "../common/warn.js"
import { observe } from "../runtime/order/observer/observers.js"
import { type AccessOptions, accessOptionNames, startAccessChecks } from "./access/options.js"
import type { DataRaceError } from "./report/data-race-error.js"
import { RaceObserver } from "./race-observer.js"
import type { AnyRace } from "./report/race.js"
import { errorOf } from "./report/report.js"
import { captureStack, stackText } from "./source/stack.js"

/** Options of {@link startSanitizer}. */
export interface SanitizerOptions extends AccessOptions {
  /** Whether to look for data races. Default: true. */
  readonly races?: boolean | undefined
  /**
   * What to do at a race. `"throw"` (the default): the call that would queue the second access throws, and queues
   * nothing. `"warn"`: a process warning for each distinct race; the operation is queued. A function: called with each
   * race before the operation is queued; if it throws, nothing is queued.
   */
  readonly onRace?: "throw" | "warn" | ((race: DataRaceError) => void) | undefined
  /**
   * Whether reports show where the program queued the accesses. Costs several microseconds for each operation. Default:
   * true.
   */
  readonly stacks?: boolean | undefined
}

const names: ReadonlySet<string> = new Set([
  ...(["races", "onRace", "stacks"] satisfies (keyof SanitizerOptions)[]),
  ...accessOptionNames,
])

/** A sanitizer that runs. */
export interface Sanitizer {
  /** Ends it. Operations are no longer checked. */
  stop(): void
  /** Calls {@link stop}, for `using`. */
  [Symbol.dispose](): void
}

/**
 * Finds data races: two operations on different streams that use the same bytes, at least one of them writing, with nothing
 * in the program that orders them. It checks every launch, copy, fill, read, product and graph launch of all devices from now
 * on, before it is queued. A report names both accesses and the call that would order them.
 *
 * It is exact for the accesses that operations declare: in signatures, structs, `uses` and `external`. Only order that the
 * program makes counts: streams, events, waits, joins and synchronisations. Work that happens to be done does not count as
 * ordered, so a race is found even if it did no harm this time.
 *
 * On the host device it can also check what operations really do to memory: see {@link AccessOptions}.
 *
 * The environment variable `AUXSTREAM_SANITIZER=1` starts it with the first device; `AUXSTREAM_SANITIZER=warn` with warnings.
 *
 * PyTorch: `TORCH_CUDA_SANITIZER`.
 *
 * @param options the checks, and what to do when they find something
 * @throws AuxstreamError AUX_INVALID_ARGUMENT
 * @example
 * const sanitizer = startSanitizer()
 * model(x) // throws a DataRaceError at the first race
 * sanitizer.stop()
 */
export function startSanitizer(options: SanitizerOptions = {}): Sanitizer {
  checkOptions(options, "options", names)
  const { races = true, onRace = "throw", stacks = true } = options
  checkBoolean(races, "races")
  checkBoolean(stacks, "stacks")
  const handler = handlerOf(onRace)
  const stopChecks = startAccessChecks(options, () => (stacks ? stackText(captureStack()) : ""))
  const stopRaces = races ? startRaces(new RaceObserver(handler, stacks)) : () => {}
  const stop = () => {
    stopRaces()
    stopChecks()
  }
  return { stop, [Symbol.dispose]: stop }
}

function startRaces(observer: RaceObserver): () => void {
  const stop = observe(observer)
  return () => {
    stop()
    observer.end()
  }
}

function handlerOf(onRace: SanitizerOptions["onRace"]): (race: AnyRace) => void {
  if (onRace === "throw") return throwRace
  if (onRace === "warn") return warnOfRaces()
  if (typeof onRace === "function") return (race) => onRace(errorOf(race))
  throw mustBe("onRace", '"throw", "warn" or a function', onRace)
}

function throwRace(race: AnyRace): void {
  throw errorOf(race)
}

/** The number of distinct races after which no more are shown. */
const MOST_WARNINGS = 1000

function warnOfRaces(): (race: AnyRace) => void {
  const known = new Set<string>()
  return (race) => {
    const error = errorOf(race)
    const key = keyOf(error)
    if (known.has(key) || known.size >= MOST_WARNINGS) return
    known.add(key)
    warn("AUX_DATA_RACE", error.message)
  }
}

/** Equal for races of the same two places in the program; without stacks, of the same operations on the same streams. */
function keyOf({ current, previous }: DataRaceError): string {
  return JSON.stringify(
    [current, previous].map(({ operation, kind, argument, name, access, stream, stack }) => {
      return [operation, kind, argument, name, access, stack === "" ? stream.name : stack]
    }),
  )
}
