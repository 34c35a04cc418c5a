/**
 * A file of decisions, which several processes may share. It is replaced as a whole, so that a reader sees either the old
 * contents or the new ones. A process reads the file, adds its own decisions and writes the result, while it holds the
 * lock: a second file beside it. It must never replace a file that is not one of decisions.
 */
import { randomUUID } from "node:crypto"
import {
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { dirname, resolve } from "node:path"
import process from "node:process"
import { fileURLToPath, URL } from "node:url"
import { mustBe } from "../../common/check.js"
import { AuxstreamError } from "../../common/errors.js"
import { now } from "../../common/timers.js"
import { addSection, type Contents, parseContents, type Section, textOf } from "./contents.js"

/** A process that holds the lock longer than this has ended. In milliseconds. */
const LONGEST_LOCK = 10_000
/** How long a process waits for the lock when it must not try again later, in milliseconds. */
const PATIENCE = 2000
/** An address to sleep on, which is never notified. */
const NEVER = new Int32Array(new SharedArrayBuffer(4))

/** See the head of this file. */
export class DecisionFile {
  readonly path: string

  /**
   * @param file a path, relative to the current folder, or a `file:` URL. The file need not exist, its folder must
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_FILE_FAILED
   */
  constructor(file: string | URL) {
    this.path = pathOf(file)
    if (!existsSync(dirname(this.path))) throw failed(this.path, "its folder does not exist", "Create it")
    if (existsSync(this.path)) this.path = realpathSync(this.path) // Replacing a link would leave its target as it was.
  }

  /** What the file contains now; nothing if it is empty or does not exist. @throws AuxstreamError AUX_FILE_FAILED */
  read(): Contents {
    let text: string
    try {
      text = readFileSync(this.path, "utf8")
    } catch (error) {
      if (codeOf(error) === "ENOENT") return new Map()
      throw failed(
        this.path,
        `it cannot be read: ${messageOf(error)}`,
        "Name a file that can be read and written",
        error,
      )
    }
    if (text === "") return new Map() // As `mktemp` makes one.
    try {
      return parseContents(text)
    } catch (error) {
      throw failed(this.path, messageOf(error), "Delete it, or name another file", error)
    }
  }

  /**
   * Adds decisions to the file.
   *
   * @param waits whether to wait if another process is about to write
   * @returns false if another process is, and nothing was written
   * @throws AuxstreamError AUX_FILE_FAILED
   */
  add(policy: string, sections: readonly Section[], waits: boolean): boolean {
    if (!this.#lock(waits)) return false
    try {
      const contents = this.read()
      for (const section of sections) addSection(contents, policy, section)
      this.#replace(textOf(contents))
      return true
    } finally {
      rmSync(this.#lockPath, { force: true })
    }
  }

  get #lockPath(): string {
    return `${this.path}.lock`
  }

  #lock(waits: boolean): boolean {
    const deadline = now() + (waits ? PATIENCE : 0)
    while (!this.#tryToLock()) {
      if (now() >= deadline) return false
      Atomics.wait(NEVER, 0, 0, 5)
    }
    return true
  }

  #tryToLock(): boolean {
    try {
      closeSync(openSync(this.#lockPath, "wx"))
      return true
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw this.#notWritten(error)
    }
    const age = ageOf(this.#lockPath)
    if (age !== undefined && age > LONGEST_LOCK) rmSync(this.#lockPath, { force: true })
    return false
  }

  #replace(text: string): void {
    const temporary = `${this.path}.${process.pid}.${randomUUID().slice(0, 8)}.tmp`
    try {
      writeFileSync(temporary, text, { flag: "wx" })
      const mode = statSync(this.path, { throwIfNoEntry: false })?.mode
      if (mode !== undefined) chmodSync(temporary, mode)
      renameSync(temporary, this.path)
    } catch (error) {
      rmSync(temporary, { force: true })
      throw this.#notWritten(error)
    }
  }

  #notWritten(error: unknown): AuxstreamError {
    return failed(
      this.path,
      `it cannot be written: ${messageOf(error)}`,
      "Name a file in a folder that can be written",
      error,
    )
  }
}

function pathOf(file: unknown): string {
  if (typeof file === "string" && file.startsWith("file:") && URL.canParse(file)) return pathOf(new URL(file))
  if (typeof file === "string" && file !== "" && !file.includes("\0")) return resolve(file)
  if (file instanceof URL && file.protocol === "file:") return fileURLToPath(file)
  throw mustBe("file", "a path or a file: URL", file instanceof URL ? file.href : file)
}

/** Also if the clock was set back since. */
function ageOf(path: string): number | undefined {
  const modified = statSync(path, { throwIfNoEntry: false })?.mtimeMs
  return modified === undefined ? undefined : Math.abs(Date.now() - modified)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function failed(path: string, reason: string, advice: string, cause?: unknown): AuxstreamError {
  return new AuxstreamError("AUX_FILE_FAILED", `The file of overlap decisions ${path}: ${reason}. ${advice}.`, {
    cause,
  })
}
