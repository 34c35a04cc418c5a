/** One run: what its parts share, and the report that grows with them. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Peers, startPeers } from "./peers.js"
import type { Measured, Missing } from "./rounds.js"

/** What the command line asked for. */
export interface Settings {
  readonly out: string
  /** Only shows that everything runs. */
  readonly quick: boolean
  readonly rounds: number
  readonly minutes: number
}

/** How a part went. */
export interface PartResult {
  readonly name: string
  readonly status: "done" | "failed" | "skipped"
  readonly seconds: number
  readonly reason?: string
  /** What it found, besides rows. */
  readonly facts: Readonly<Record<string, unknown>>
}

/** What is kept as JSON. */
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

/** A part of a run. What it returns are its facts; what it throws is its reason to fail. */
export interface Part {
  /** What `--only` takes. */
  readonly name: string
  /** Seconds below which it is not worth to begin. */
  readonly least: number
  run(run: Run): Promise<Readonly<Record<string, unknown>>>
}

/** Characters of a file. */
const longest = 8_000_000

/** A run under way. */
export class Run {
  readonly settings: Settings
  /** For what is built; removed at the end. */
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

  /** Seconds until the run has to be over. */
  get secondsLeft(): number {
    return (this.#end - performance.now()) / 1000
  }

  /** Does a part. Whatever happens in it, the next one has its turn. */
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

  /** Everybody who is measured; started when first asked for. */
  async peers(): Promise<Peers> {
    this.#peers ??= startPeers(this.scratch)
    const peers = await this.#peers
    this.#absent = peers.absent
    return peers
  }

  /** Puts a file beside the report. Of a text that is too long to be of use the end is left out. */
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

  /** Ends everybody, and removes what was built. */
  async close(): Promise<void> {
    const peers = await this.#peers
    for (const peer of peers?.present ?? []) peer.stop()
    rmSync(this.scratch, { recursive: true, force: true })
  }
}
