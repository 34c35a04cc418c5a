/** One run: the state its parts share, and the report they add to. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Peers, startPeers } from "./peers.js"
import type { Measured, Missing } from "./rounds.js"

/** The command line's options. */
export interface Settings {
  readonly out: string
  /** Only checks that everything runs. */
  readonly quick: boolean
  readonly rounds: number
  readonly minutes: number
}

/** The outcome of a part. */
export interface PartResult {
  readonly name: string
  readonly status: "done" | "failed" | "skipped"
  readonly seconds: number
  readonly reason?: string
  /** Its findings besides rows. */
  readonly facts: Readonly<Record<string, unknown>>
}

/** The report as it is stored in JSON. */
export interface Report {
  readonly date: string
  readonly quick: boolean
  readonly rounds: number
  readonly machine: Readonly<Record<string, unknown>>
  readonly parts: readonly PartResult[]
  readonly absent: Peers["absent"]
  readonly measured: readonly Measured[]
  readonly missing: readonly Missing[]
}

/** A part of a run. It returns its findings, or throws the reason of its failure. */
export interface Part {
  /** Its name for `--only`. */
  readonly name: string
  /** The least seconds that it needs to be useful. */
  readonly least: number
  run(run: Run): Promise<Readonly<Record<string, unknown>>>
}

/** The most characters of a file. */
const longest = 8_000_000

/** The current run. */
export class Run {
  readonly settings: Settings
  /** A folder for build outputs, removed at the end. */
  readonly scratch = mkdtempSync(join(tmpdir(), "auxstream-bench-gpu-"))
  machine: Readonly<Record<string, unknown>> = {}
  readonly measured: Measured[] = []
  readonly missing: Missing[] = []
  readonly #parts: PartResult[] = []
  readonly #date = new Date().toISOString()
  readonly #end: number
  #peers: Promise<Peers> | undefined
  #absent: Peers["absent"] = []

  constructor(settings: Settings) {
    this.settings = settings
    this.#end = performance.now() + settings.minutes * 60_000
    mkdirSync(settings.out, { recursive: true })
  }

  /** The seconds left of the run. */
  get secondsLeft(): number {
    return (this.#end - performance.now()) / 1000
  }

  /** Runs a part. Never throws, so that the next part runs. */
  async do(part: Part): Promise<void> {
    const started = performance.now()
    const end = (status: PartResult["status"], facts: PartResult["facts"], reason?: string) => {
      const seconds = (performance.now() - started) / 1000
      this.#parts.push({ name: part.name, status, seconds, ...(reason === undefined ? {} : { reason }), facts })
      console.error(`${part.name}: ${status} in ${seconds.toFixed(1)} s${reason === undefined ? "" : `, ${reason}`}`)
    }
    if (this.secondsLeft < part.least) return end("skipped", {}, `${Math.floor(this.secondsLeft)} s were left`)
    try {
      end("done", await part.run(this))
    } catch (error) {
      end("failed", {}, error instanceof Error ? (error.stack ?? error.message) : String(error))
    }
  }

  /** The measured processes, started at the first call. */
  async peers(): Promise<Peers> {
    this.#peers ??= startPeers(this.scratch)
    const peers = await this.#peers
    this.#absent = peers.absent
    return peers
  }

  /** Writes a file beside the report. A text that is too long is truncated. */
  write(name: string, text: string): void {
    writeFileSync(join(this.settings.out, name), text.slice(0, longest))
  }

  report(): Report {
    const { quick, rounds } = this.settings
    return {
      date: this.#date,
      quick,
      rounds,
      machine: this.machine,
      parts: this.#parts,
      absent: this.#absent,
      measured: this.measured,
      missing: this.missing,
    }
  }

  /** Ends all processes, and removes the build outputs. */
  async close(): Promise<void> {
    const peers = await this.#peers
    for (const peer of peers?.present ?? []) peer.stop()
    rmSync(this.scratch, { recursive: true, force: true })
  }
}
