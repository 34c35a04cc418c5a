/**
 * A file of decisions, which several processes may share. It is replaced as a whole, so that a reader sees either the old
 * contents or the new ones. A process reads the file, adds its own decisions and writes the result, while it holds the
 * lock: a second file beside it. It must never replace a file that is not one of decisions.
 */
import { randomUUID } from "node:crypto"
import {
  chmodSync,
  existsSync,
  lstatSync,
  readFileSync,
  readlinkSync,
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
import { Lock } from "./lock.js"

/** How long a process waits for the lock when it must not try again later, in milliseconds. */
const PATIENCE = 2000
/** More links in a row form a circle. */
const MOST_LINKS = 40
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
    this.path = targetOf(pathOf(file)) // Replacing a link would leave its target as it was.
    if (!existsSync(dirname(this.path))) throw failed(this.path, "its folder does not exist", "Create it")
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
    const deadline = now() + (waits ? PATIENCE : 0)
    const lock = new Lock(`${this.path}.lock`)
    while (!this.#addWith(lock, policy, sections)) {
      if (now() >= deadline) return false
      Atomics.wait(NEVER, 0, 0, 5)
    }
    return true
  }

  /** @returns false if another process has the lock */
  #addWith(lock: Lock, policy: string, sections: readonly Section[]): boolean {
    if (!this.#acquire(lock)) return false
    try {
      const contents = this.read()
      for (const section of sections) addSection(contents, policy, section)
      return this.#replace(textOf(contents), lock)
    } finally {
      lock.release()
    }
  }

  #acquire(lock: Lock): boolean {
    try {
      return lock.tryToAcquire()
    } catch (error) {
      throw this.#notWritten(error)
    }
  }

  /** @returns false if another process has taken the lock over meanwhile, because this one was so slow */
  #replace(text: string, lock: Lock): boolean {
    const temporary = `${this.path}.${process.pid}.${randomUUID().slice(0, 8)}.tmp`
    try {
      writeFileSync(temporary, text, { flag: "wx" })
      const mode = statSync(this.path, { throwIfNoEntry: false })?.mode
      if (mode !== undefined) chmodSync(temporary, mode)
      const isHeld = lock.isHeld
      if (isHeld) renameSync(temporary, this.path)
      else rmSync(temporary, { force: true })
      return isHeld
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

/** The file that a path points to, which need not exist. */
function targetOf(path: string): string {
  let target = path
  for (let links = 0; links < MOST_LINKS; links++) {
    if (existsSync(target)) return realpathSync(target)
    if (lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return target
    target = resolve(dirname(target), readlinkSync(target))
  }
  throw failed(path, "it is a link that points to itself", "Name another file")
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
