/** Runs random programs under the sanitizer and the model, in three ways. */
import { type DataRaceError, startSanitizer } from "../../../src/index.js"
import {
  type Counts,
  Disagreement,
  Judge,
  type JudgeOptions,
  noCounts,
  type Repair,
  type Sanitizer,
} from "./run/judge.js"
import type { Program } from "./program.js"
import { Run } from "./run/run.js"
import type { World } from "./run/world.js"

/** How often a program runs at most, each time with a fix more before one of its conditionals. */
const mostRuns = 50

type OnRace = (race: DataRaceError) => void

function raise(race: DataRaceError): never {
  throw race
}

/** One sanitizer for many programs. It gets old, and must forget finished work. */
class KeptSanitizer {
  #onRace: OnRace | undefined
  readonly #sanitizer = startSanitizer({ stacks: false, onRace: (race) => (this.#onRace ?? raise)(race) })

  start(onRace: OnRace): Sanitizer {
    this.#onRace = onRace
    return { stop: () => (this.#onRace = undefined) }
  }

  end(): void {
    this.#sanitizer.stop()
  }
}

export class Checks {
  readonly #kept: KeptSanitizer | undefined

  /** @param isKept whether one sanitizer sees all programs; otherwise each program starts its own */
  constructor(isKept = false) {
    this.#kept = isKept ? new KeptSanitizer() : undefined
  }

  end(): void {
    this.#kept?.end()
  }

  #start(onRace: OnRace | undefined): Sanitizer {
    if (this.#kept !== undefined) return this.#kept.start(onRace ?? raise)
    return startSanitizer({ onRace: onRace ?? "throw", stacks: false })
  }

  async #run(worlds: readonly World[], program: Program, options: Omit<JudgeOptions, "start">): Promise<Judge> {
    const judge = new Judge({ start: (onRace) => this.#start(onRace), ...options })
    if (this.#kept !== undefined) judge.start()
    await new Run(judge, worlds, program).finish()
    return judge
  }

  /** Every race is reported, and nothing else. */
  async reports(worlds: readonly World[], program: Program, counts: Counts): Promise<void> {
    await this.#run(worlds, program, { counts })
  }

  /** Each report's fix removes it. @returns the fixes with which the program has no race */
  async fixes(worlds: readonly World[], program: Program, counts: Counts): Promise<ReadonlyMap<string, Repair>> {
    const collect = new Map<string, Repair>()
    for (let tries = 0; tries < mostRuns; tries++) {
      const { mustRepeat } = await this.#run(worlds, program, { counts, collect, repairs: collect })
      if (!mustRepeat) return collect
    }
    throw new Disagreement(`still a race in a conditional after ${mostRuns} runs`)
  }

  /** Of a program without races, each wait in turn is left out. There must be a report exactly if there is a race now. */
  async waits(worlds: readonly World[], program: Program, counts: Counts): Promise<void> {
    const repairs = await this.fixes(worlds, program, noCounts())
    const whole = noCounts()
    const { waits } = await this.#run(worlds, program, { counts: whole, repairs })
    // A stream of the pool was another one this time, so that a fix was of another stream.
    if (whole.races > 0) return
    for (let without = 0; without < waits; without++) {
      const mutant = noCounts()
      await this.#run(worlds, program, { counts: mutant, repairs, without })
      counts.operations += mutant.operations
      counts.reports += mutant.reports
      counts.waits++
      if (mutant.racing > 0) counts.neededWaits++
    }
  }
}
