/**
 * Compiled kernels on disk, so that a program compiles each kernel once and not at each start.
 *
 * An entry's name is the hash of all that decides what it holds. It is written beside its place and moved there, so
 * that other processes see all of it or nothing; it begins with the hash of its contents, so that a damaged one is
 * noticed and made anew. A cache that cannot be written is no error: the kernel has been compiled.
 *
 * The code in an entry runs on the GPU with the rights of this process. So the folder and each entry must belong to this
 * user, and other users must not be able to write to them. Otherwise the cache is not used.
 */
import { createHash, randomUUID } from "node:crypto"
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  type Stats,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { warnOnce } from "../../common/warn.js"
import { absolute, isAbsolute, joined, type Machine, named, thisMachine } from "../api/machine.js"

const HASH_BYTES = 32
const WRITABLE_BY_OTHERS = 0o022
/** Opening a pipe does not wait for a writer, and links are refused. Windows has neither flag. */
const READ_ONLY = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)

function hash(data: string | Uint8Array): Buffer {
  return createHash("sha256").update(data).digest()
}

/** The name of the entry for what was compiled from these. */
export function cacheKey(parts: readonly unknown[]): string {
  return hash(JSON.stringify(parts)).toString("hex")
}

/**
 * `AUXSTREAM_CACHE_DIR`, else the system's place for caches; undefined if there is none, as for a user without a home
 * folder.
 */
export function cacheFolder(machine: Machine): string | undefined {
  const chosen = machine.environment["AUXSTREAM_CACHE_DIR"]
  if (chosen !== undefined && chosen !== "") return chosen
  const system = systemCache(machine)
  return system && joined(machine, system, "auxstream", "kernels")
}

function systemCache(machine: Machine): string | undefined {
  const { platform } = machine
  const chosen = platform === "win32" ? "LOCALAPPDATA" : platform === "darwin" ? undefined : "XDG_CACHE_HOME"
  const home = absolute(machine, machine.home)
  const places: Partial<Record<NodeJS.Platform, readonly string[]>> = {
    win32: ["AppData", "Local"],
    darwin: ["Library", "Caches"],
  }
  return (chosen && named(machine, chosen)) ?? (home && joined(machine, home, ...(places[platform] ?? [".cache"])))
}

/** What the entry holds; undefined if there is none, it is damaged, or it is not this user's own. */
export function readCache(key: string): Uint8Array | undefined {
  try {
    const folder = trustedFolder()
    if (folder === undefined) return undefined
    const entry = readOwn(join(folder, key))
    const contents = entry.subarray(HASH_BYTES)
    return hash(contents).equals(entry.subarray(0, HASH_BYTES)) ? contents : undefined
  } catch {
    return undefined
  }
}

function readOwn(path: string): Buffer {
  const file = openSync(path, READ_ONLY)
  try {
    const stats = fstatSync(file)
    if (!stats.isFile() || distrust(stats) !== undefined) throw new Error(`${path} is not this user's own file`)
    return readFileSync(file)
  } finally {
    closeSync(file)
  }
}

/** Stores an entry, if that is possible. */
export function writeCache(key: string, contents: Uint8Array): void {
  let unfinished: string | undefined
  try {
    const folder = trustedFolder((path) => mkdirSync(path, { recursive: true, mode: 0o700 }))
    if (folder === undefined) return
    unfinished = join(folder, `${key}.${randomUUID()}.tmp`)
    writeFileSync(unfinished, Buffer.concat([hash(contents), contents]), { mode: 0o600, flag: "wx" })
    renameSync(unfinished, join(folder, key))
  } catch {
    if (unfinished !== undefined) removeIfPresent(unfinished)
  }
}

/** The folder; undefined if there can be none, or it is not this user's own. @throws Error if it is not there */
function trustedFolder(make = (_folder: string): unknown => undefined): string | undefined {
  const machine = thisMachine()
  const folder = cacheFolder(machine)
  if (folder === undefined) return undefined
  if (!isAbsolute(machine, folder)) return refuse(folder, "is not an absolute path")
  make(folder)
  const reason = distrust(statSync(folder))
  return reason === undefined ? folder : refuse(folder, reason)
}

/** Why a file or folder may have been written by another user; undefined if it was not. Windows keeps users' folders apart. */
export function distrust({ uid, mode }: Pick<Stats, "uid" | "mode">): string | undefined {
  const user = process.geteuid?.()
  if (user === undefined) return undefined
  if (uid !== user) return `belongs to user ${uid}, and this process runs as user ${user}`
  if ((mode & WRITABLE_BY_OTHERS) === 0) return undefined
  return `can be written by other users (its mode is ${(mode & 0o777).toString(8)})`
}

function refuse(folder: string, reason: string): undefined {
  warnOnce(
    `cache ${folder}`,
    `The folder for compiled kernels, ${folder}, is not used, as it ${reason}. Kernels are compiled at each start. Name a ` +
      "folder in AUXSTREAM_CACHE_DIR, by its absolute path, that only this user can write to.",
    "AUX_CACHE_REFUSED",
  )
}

function removeIfPresent(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // The folder itself may be out of reach.
  }
}
