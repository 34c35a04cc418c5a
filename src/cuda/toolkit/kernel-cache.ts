/**
 * Keeps compiled kernels on disk, so that a program compiles each kernel once, not at every start.
 *
 * An entry's name is the hash of everything that its contents depend on. An entry is written to a temporary file and
 * renamed, so that other processes see either all of it or nothing. It begins with the hash of its name and its contents, so
 * that an entry that was damaged or renamed is detected and replaced. Failing to write the cache is no error: the kernel has been compiled.
 *
 * An entry's code runs on the GPU with the rights of this process. So the cache must never use a folder or an entry that
 * belongs to another user or that another user can write to.
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
import { absolute, isAbsolute, joined, type Machine, named, thisMachine } from "../native/machine.js"

const HASH_BYTES = 32
const WRITABLE_BY_OTHERS = 0o022
/** Opens a pipe without waiting for a writer, and refuses links. Windows has neither flag. */
const READ_ONLY = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)

function hash(...parts: readonly (string | Uint8Array)[]): Buffer {
  const sum = createHash("sha256")
  for (const part of parts) sum.update(part)
  return sum.digest()
}

/** The name of the entry for an image compiled from these parts. */
export function cacheKey(parts: readonly unknown[]): string {
  return hash(JSON.stringify(parts)).toString("hex")
}

/**
 * `AUXSTREAM_CACHE_DIR`, else a folder in the system's cache folder. Undefined if there is none, for example for a user
 * without a home folder.
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

/** The entry's contents; undefined if it is missing or damaged, or if another user could have written it. */
export function readCache(key: string): Uint8Array | undefined {
  try {
    const folder = trustedFolder()
    if (folder === undefined) return undefined
    const entry = readOwn(join(folder, key))
    const contents = entry.subarray(HASH_BYTES)
    return hash(key, contents).equals(entry.subarray(0, HASH_BYTES)) ? contents : undefined
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

/** Stores an entry if possible. Never throws. */
export function writeCache(key: string, contents: Uint8Array): void {
  let unfinished: string | undefined
  try {
    const folder = trustedFolder((path) => mkdirSync(path, { recursive: true, mode: 0o700 }))
    if (folder === undefined) return
    unfinished = join(folder, `${key}.${randomUUID()}.tmp`)
    writeFileSync(unfinished, Buffer.concat([hash(key, contents), contents]), { mode: 0o600, flag: "wx" })
    renameSync(unfinished, join(folder, key))
  } catch {
    if (unfinished !== undefined) removeIfPresent(unfinished)
  }
}

/** The cache folder; undefined if there is none or it cannot be trusted. @throws Error if it does not exist */
function trustedFolder(make = (_folder: string): unknown => undefined): string | undefined {
  const machine = thisMachine()
  const folder = cacheFolder(machine)
  if (folder === undefined) return undefined
  if (!isAbsolute(machine, folder)) return refuse(folder, "is not an absolute path")
  make(folder)
  const reason = distrust(statSync(folder))
  return reason === undefined ? folder : refuse(folder, reason)
}

/**
 * Why another user could have written a file or folder; undefined if none could. On Windows always undefined: users'
 * folders are separate there.
 */
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
    `The kernel cache folder ${folder} is not used because it ${reason}. Kernels are compiled at every start. Set ` +
      "AUXSTREAM_CACHE_DIR to the absolute path of a folder that only this user can write to.",
    "AUX_CACHE_REFUSED",
  )
}

function removeIfPresent(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // The folder itself may be inaccessible.
  }
}
