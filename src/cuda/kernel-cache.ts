/**
 * Compiled kernels on disk, so that a program compiles each kernel once and not at each start.
 *
 * An entry's name is the hash of all that decides what it holds. It is written beside its place and moved there, so
 * that other processes see all of it or nothing; it begins with the hash of its contents, so that a damaged one is
 * noticed and made anew. A cache that cannot be written is no error: the kernel has been compiled.
 */
import { createHash, randomUUID } from "node:crypto"
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"

const HASH_BYTES = 32

function hash(data: string | Uint8Array): Buffer {
  return createHash("sha256").update(data).digest()
}

/** The name of the entry for what was compiled from these. */
export function cacheKey(...parts: readonly string[]): string {
  return hash(JSON.stringify(parts)).toString("hex")
}

/** `AUXSTREAM_CACHE_DIR`, else the system's place for caches. */
export function cacheDirectory(): string {
  const named = process.env["AUXSTREAM_CACHE_DIR"]
  return named === undefined || named === "" ? join(systemCache(), "auxstream", "kernels") : named
}

function systemCache(): string {
  if (process.platform === "win32") return process.env["LOCALAPPDATA"] || join(homedir(), "AppData", "Local")
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches")
  return process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache")
}

/** What the entry holds; undefined if there is none or it is damaged. */
export function readCache(key: string): Uint8Array | undefined {
  try {
    const entry = readFileSync(join(cacheDirectory(), key))
    const contents = entry.subarray(HASH_BYTES)
    return hash(contents).equals(entry.subarray(0, HASH_BYTES)) ? contents : undefined
  } catch {
    return undefined
  }
}

/** Stores an entry, if that is possible. */
export function writeCache(key: string, contents: Uint8Array): void {
  const directory = cacheDirectory()
  const unfinished = join(directory, `${key}.${randomUUID()}.tmp`)
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    writeFileSync(unfinished, Buffer.concat([hash(contents), contents]), { mode: 0o600 })
    renameSync(unfinished, join(directory, key))
  } catch {
    removeIfPresent(unfinished)
  }
}

function removeIfPresent(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // The directory itself may be out of reach.
  }
}
