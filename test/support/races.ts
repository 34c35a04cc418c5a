import assert from "node:assert/strict"
import { DataRaceError, type RaceAccess, type SanitizerOptions, startSanitizer } from "../../src/index.js"
import { thrownBy } from "./errors.js"

/** For tests that race on purpose, or that look at observers: skipped if all tests run under the sanitizer. */
export const unsanitized = {
  skip: (process.env["AUXSTREAM_SANITIZER"] ?? "0") === "0" ? false : "races on purpose, or looks at observers",
}

/** A sanitizer without stacks that throws. It ends with `using`. */
export function sanitized(options: SanitizerOptions = {}) {
  return startSanitizer({ stacks: false, ...options })
}

/** The race that a call throws. */
export function raceOf(fn: () => unknown): DataRaceError {
  const error = thrownBy(fn)
  assert.ok(error instanceof DataRaceError, `a DataRaceError was expected, not: ${String(error)}`)
  assert.equal(error.code, "AUX_DATA_RACE")
  return error
}

/** An access in a few words: `test_affine 1 readwrite on aux`. */
export function wordsOf({ operation, argument, name, access, stream }: RaceAccess): string {
  return [operation, argument, name, access, "on", stream.name].filter((word) => word !== undefined).join(" ")
}

/** Both accesses of a race, the current one first. */
export function accessesOf(race: DataRaceError): [current: string, previous: string] {
  return [wordsOf(race.current), wordsOf(race.previous)]
}

/** Does what the report says. */
export function mend({ fix: { waiting, recording }, message }: DataRaceError): void {
  assert.ok(waiting !== undefined && recording !== undefined, message)
  waiting.wait(recording.record())
}

/** A sanitizer that collects the races of what it lets run. */
export class Races {
  readonly found: DataRaceError[] = []
  readonly #sanitizer = sanitized({ onRace: (race) => void this.found.push(race) })

  /** The races since the last call, in words. */
  take(): string[] {
    return this.found.splice(0).map((race) => accessesOf(race).join(" / "))
  }

  [Symbol.dispose](): void {
    this.#sanitizer.stop()
  }
}
