/**
 * Everybody who is measured is a process that stays: it is told "ROW BATCHES OPERATIONS" in a line and answers with a
 * line of JSON. So all can take turns, each starts once, and none can bring the others down.
 *
 * - `{ "ready": true, "versions": { … } }` comes first.
 * - `{ "nanoseconds": [ … ], … }` holds a figure of one operation for each batch; other lists may stand beside it.
 * - `{ "missing": "…" }`: it has no such row, and why.
 * - `{ "failed": "…" }`: something went wrong.
 */

import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { keepOnOneCore } from "./one-core.js"
import { killGroup, tail } from "./programs.js"

/** The figures of a turn, a list for each, with a value for each batch. */
export type Figures = Readonly<Record<string, readonly number[]>>

/** An answer, or in a sentence why there is none. */
export type Answer = { readonly figures: Figures } | { readonly reason: string }

type Message = Readonly<Record<string, unknown>>

/** One of those that are measured. */
export class Peer {
  readonly name: string
  versions: Readonly<Record<string, string>> = {}
  /** Is its main thread on the core that all take turns on? */
  onOneCore = false
  /** Why it can be asked no more. */
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
    child.stdin.on("error", () => {}) // That it has ended is said by its end.
    child.on("error", (error) => this.#leave(`${name} cannot be started: ${error.message}`))
    child.on("close", (status, signal) => this.#leave(`${name} ended (${signal ?? status}). ${tail(this.#errors, 6)}`))
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Waits until it can be asked. Gives what is in the way, if anything is. */
  async start(seconds: number): Promise<string | undefined> {
    const message = await this.#next(seconds)
    this.onOneCore = this.pid !== undefined && keepOnOneCore(this.pid)
    if (message["ready"] !== true) this.#leave(reasonOf(message))
    const versions = message["versions"]
    if (typeof versions === "object" && versions !== null) this.versions = Object.fromEntries(Object.entries(versions))
    return this.#gone
  }

  /** Has it measure a row. It is stopped when that takes too long, since nothing it says later would be in time. */
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
