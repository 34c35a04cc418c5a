/** The input text: a token is a byte. */

import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import { relative } from "node:path"
import { fileURLToPath } from "node:url"
import { UsageError } from "./options.js"

/** The tokens of one run, and their source. */
export interface Input {
  readonly name: string
  /** Bytes of the whole file. */
  readonly fileBytes: number
  readonly tokens: Uint8Array<ArrayBuffer>
}

const readme = fileURLToPath(new URL("../../../README.md", import.meta.url))

/**
 * Reads the first bytes of a file.
 *
 * @param path by default the project's README.md
 * @param tokens how many; by default `byDefault`, or fewer if the file is shorter
 * @throws UsageError
 */
export function readInput(path: string | undefined, tokens: number | undefined, byDefault: number): Input {
  const file = path ?? readme
  const name = path ?? relative(process.cwd(), readme)
  const descriptor = open(file, name)
  try {
    const { size } = fstatSync(descriptor)
    if (size === 0) throw new UsageError(`${name} must not be empty: its bytes are the tokens.`)
    if (tokens !== undefined && tokens > size) {
      throw new UsageError(`--tokens must be at most ${size}, the bytes of ${name} (a token is a byte); got ${tokens}.`)
    }
    const bytes = new Uint8Array(tokens ?? Math.min(byDefault, size))
    const read = readSync(descriptor, bytes, 0, bytes.length, 0)
    return { name, fileBytes: size, tokens: bytes.subarray(0, read) }
  } finally {
    closeSync(descriptor)
  }
}

function open(file: string, name: string): number {
  let descriptor: number | undefined
  try {
    descriptor = openSync(file, "r")
    if (fstatSync(descriptor).isFile()) return descriptor
  } catch (error) {
    throw new UsageError(`Cannot read ${name}: ${reason(error)}.`, { cause: error })
  }
  closeSync(descriptor)
  throw new UsageError(`--input must be a text file; ${name} is not a file.`)
}

function reason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined
  if (code === "ENOENT") return "there is no such file"
  if (code === "EACCES") return "permission is denied"
  return error instanceof Error ? error.message : String(error)
}
