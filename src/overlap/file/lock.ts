/**
 * A lock that processes share: a file that one of them at a time has made. It contains its holder's token. It must never be
 * removed while its holder uses it: a lock whose process seems to have ended is first moved away, and put back if it turns
 * out to be a new one.
 */
import { randomUUID } from "node:crypto"
import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"

/** A process that holds the lock longer than this has ended. In milliseconds. */
const LONGEST = 10_000

/** See the head of this file. */
export class Lock {
  readonly #path: string
  readonly #token: string = randomUUID()

  constructor(path: string) {
    this.#path = path
  }

  /** @throws what the file system throws if it does not let this process make the file */
  tryToAcquire(): boolean {
    try {
      writeFileSync(this.#path, this.#token, { flag: "wx" })
      return true
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error
    }
    if (isOld(this.#path)) this.takeAway()
    return false
  }

  /** Whether no other process has taken the lock over. */
  get isHeld(): boolean {
    try {
      return readFileSync(this.#path, "utf8") === this.#token
    } catch {
      return false
    }
  }

  release(): void {
    if (this.isHeld) rmSync(this.#path, { force: true })
  }

  /** Removes a lock that was old a moment ago. In between, another process may have removed it and made its own. */
  takeAway(): void {
    const aside = `${this.#path}.${randomUUID()}`
    try {
      renameSync(this.#path, aside)
    } catch {
      return // Another process was faster.
    }
    try {
      if (!isOld(aside)) linkSync(aside, this.#path)
    } catch {
      // A third process has the lock by now. The holder of this one notices that before it writes.
    }
    rmSync(aside, { force: true })
  }
}

/** Also if the clock was set back since. */
function isOld(path: string): boolean {
  const modified = statSync(path, { throwIfNoEntry: false })?.mtimeMs
  return modified !== undefined && Math.abs(Date.now() - modified) > LONGEST
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined
}
