/** A file to load from: opens it, checks its size, and reads its bytes. */
import { type FileHandle, open } from "node:fs/promises"
import { AuxstreamError } from "../../common/errors.js"
import { show } from "../../common/show.js"
import { isFileHandle, type LoadableFile, placeOf } from "./load-options.js"

/** The number of parallel reads of a large piece. One read is slower than several on threads of Node's pool. */
const READS_AT_A_TIME = 4
/** Pieces smaller than this are read with one read. */
const LEAST_READ = 1024 * 1024

/** An open file. */
export class SourceFile {
  /** The size in bytes when it was opened. */
  readonly size: number
  /** The name in messages. */
  readonly name: string
  readonly #handle: FileHandle
  /** Whether the caller opened it, so that it must stay open. */
  readonly #isBorrowed: boolean

  private constructor(handle: FileHandle, name: string, size: number, isBorrowed: boolean) {
    this.#handle = handle
    this.name = name
    this.size = size
    this.#isBorrowed = isBorrowed
  }

  /** @throws AuxstreamError AUX_FILE_FAILED */
  static async open(file: LoadableFile): Promise<SourceFile> {
    if (isFileHandle(file)) return SourceFile.#from(file, `The file with descriptor ${file.fd}`, true)
    const name = `The file ${show(file instanceof URL ? file.href : file)}`
    const handle = await open(placeOf(file), "r").catch((error: unknown) => {
      throw failed(`${name} could not be opened`, error)
    })
    try {
      return await SourceFile.#from(handle, name, false)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  static async #from(handle: FileHandle, name: string, isBorrowed: boolean): Promise<SourceFile> {
    const stats = await handle.stat().catch((error: unknown) => {
      throw failed(`${name} could not be read`, error)
    })
    if (!stats.isFile()) {
      throw new AuxstreamError(
        "AUX_FILE_FAILED",
        `${name} must be a regular file. Other files cannot be read at an offset.`,
      )
    }
    return new SourceFile(handle, name, stats.size, isBorrowed)
  }

  /**
   * Fills `into` with the file's bytes from `position` on. Once the promise settles, nothing writes to `into` any more.
   *
   * @throws AuxstreamError AUX_FILE_FAILED, also if the file ends before
   */
  async read(into: Uint8Array, position: number): Promise<void> {
    const pieces = Math.min(READS_AT_A_TIME, Math.ceil(into.length / LEAST_READ))
    const size = Math.ceil(into.length / Math.max(1, pieces))
    const reads = Array.from({ length: pieces }, (_, index) =>
      this.#readPiece(into.subarray(index * size, (index + 1) * size), position + index * size),
    )
    for (const outcome of await Promise.allSettled(reads)) if (outcome.status === "rejected") throw outcome.reason
  }

  async #readPiece(into: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < into.length;) {
      const { bytesRead } = await this.#handle
        .read(into, done, into.length - done, position + done)
        .catch((error: unknown) => {
          throw failed(`${this.name} could not be read`, error)
        })
      if (bytesRead === 0) {
        const end = position + done
        throw new AuxstreamError(
          "AUX_FILE_FAILED",
          `${this.name} became shorter while it was loaded: it had ${this.size} bytes, and now ends before byte ${end + 1}.`,
        )
      }
      done += bytesRead
    }
  }

  async close(): Promise<void> {
    if (!this.#isBorrowed) await this.#handle.close()
  }
}

function failed(what: string, cause: unknown): AuxstreamError {
  const reason = cause instanceof Error ? cause.message : show(cause)
  return new AuxstreamError("AUX_FILE_FAILED", `${what}: ${reason}.`, { cause })
}
