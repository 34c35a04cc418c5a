/**
 * Each measured library runs in its own long-lived process. The process reads lines "ROW BATCHES OPERATIONS" and answers each
 * with a line of JSON. So measurements can alternate, each process starts once, and a crash affects only its own library.
 *
 * - `{ "ready": true, "versions": { … } }` comes first.
 * - `{ "nanoseconds": [ … ], … }` has the time of one operation for each batch, and possibly other lists.
 * - `{ "missing": "…" }`: why it has no such row.
 * - `{ "failed": "…" }`: something went wrong.
 */

import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { keepOnOneCore } from "./one-core.js"
import { killGroup, tail } from "./programs.js"

/** The lists of figures of one measurement, with a value for each batch. */
export type Figures = Readonly<Record<string, readonly number[]>>

/** An answer, or the reason why there is none. */
export type Answer = { readonly figures: Figures } | { readonly reason: string }

type Message = Readonly<Record<string, unknown>>

/** A measured process. */
export class Peer {
  readonly name: string
  versions: Readonly<Record<string, string>> = {}
  /** Whether its main thread is pinned to the common core. */
  onOneCore = false
  /** Why it can no longer be used. */
  #gone: string | undefined
  readonly #child: ChildProcess | undefined
  #waiting: ((message: Message) => void) | undefined
  #errors = ""

  constructor(
    name: string,
    command: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ) {
    this.name = name
    const child = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
      env: { ...process.env, ...environment },
    })
    this.#child = child
    createInterface({ input: child.stdout }).on("line", (line) => this.#take(line))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#errors = (this.#errors + text).slice(-4000)))
    child.stdin.on("error", () => {}) // The process's end is handled elsewhere.
    child.on("error", (error) => this.#leave(`${name} cannot be started: ${error.message}`))
    child.on("close", (status, signal) => this.#leave(`${name} ended (${signal ?? status}). ${tail(this.#errors, 6)}`))
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Waits until it is ready. @returns the reason if it is not */
  async start(seconds: number): Promise<string | undefined> {
    const message = await this.#next(seconds)
    this.onOneCore = this.pid !== undefined && keepOnOneCore(this.pid)
    if (message["ready"] !== true) this.#leave(reasonOf(message))
    const versions = message["versions"]
    if (typeof versions === "object" && versions !== null) this.versions = Object.fromEntries(Object.entries(versions))
    return this.#gone
  }

  /** Makes it measure a row. If that takes too long, the process is ended, because its later answers would be late, too. */
  async ask(row: string, batches: number, operations: number, seconds: number): Promise<Answer> {
    if (this.#gone !== undefined) return { reason: this.#gone }
    this.#child?.stdin?.write(`${row} ${batches} ${operations}\n`)
    const message = await this.#next(seconds)
    if (!("nanoseconds" in message)) return { reason: reasonOf(message) }
    return { figures: Object.fromEntries(Object.entries(message).flatMap(([name, value]) => listOf(name, value))) }
  }

  /** Ends it. */
  stop(): void {
    this.#child?.stdin?.end()
    killGroup(this.#child?.pid)
  }

  #next(seconds: number): Promise<Message> {
    return new Promise((resolve) => {
      if (this.#gone !== undefined) return resolve({ failed: this.#gone })
      const timer = setTimeout(() => {
        this.#leave(`${this.name} did not answer in ${seconds} s`)
        this.stop()
      }, seconds * 1000)
      this.#waiting = (message) => {
        clearTimeout(timer)
        this.#waiting = undefined
        resolve(message)
      }
    })
  }

  #take(line: string): void {
    const message = parse(line)
    if (message !== undefined) this.#waiting?.(message)
    else this.#errors = (this.#errors + line).slice(-4000)
  }

  #leave(reason: string): void {
    this.#gone ??= reason
    this.#waiting?.({ failed: this.#gone })
  }
}

function parse(line: string): Message | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : undefined
  } catch {
    return undefined
  }
}

function reasonOf(message: Message): string {
  const reason = message["missing"] ?? message["failed"]
  return typeof reason === "string" ? reason : "it gave no figures"
}

function listOf(name: string, value: unknown): [string, readonly number[]][] {
  return Array.isArray(value) ? [[name, value.map(Number)]] : []
}
