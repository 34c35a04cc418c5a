/**
 * The platform, environment, home folder and disk that the searches for libraries depend on.
 *
 * The searches are functions of a `Machine`, so that every platform's search can be tested on any platform. They must never
 * search a relative path: anybody with write access to the current folder could then choose the code that this process runs.
 */
import { existsSync, readdirSync } from "node:fs"
import { homedir } from "node:os"
import { posix, win32 } from "node:path"

export interface Machine {
  readonly platform: NodeJS.Platform
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The user's home folder; undefined for a user without one, as in containers with an arbitrary user id. */
  readonly home: string | undefined
  exists(path: string): boolean
  /** The names in a folder; empty if it cannot be read. */
  children(folder: string): readonly string[]
}

/** The machine of this process, in its current state. */
export function thisMachine(): Machine {
  return { platform: process.platform, environment: process.env, home: homeFolder(), exists: existsSync, children }
}

function homeFolder(): string | undefined {
  try {
    return homedir()
  } catch {
    return undefined // The user id has no account, and HOME is not set.
  }
}

function children(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Joins the parts of a path with this platform's separator. */
export function joined({ platform }: Machine, ...parts: readonly string[]): string {
  return (platform === "win32" ? win32 : posix).join(...parts)
}

/** Whether a path is absolute. On Windows it must include the drive or server: `\folder` depends on the current drive. */
export function isAbsolute({ platform }: Machine, path: string): boolean {
  return platform === "win32" ? /^(?:[a-z]:[\\/]|[\\/]{2})/i.test(path) : path.startsWith("/")
}

/** The path if it is defined and absolute, else undefined. */
export function absolute(machine: Machine, path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(machine, path) ? path : undefined
}

/** The value of an environment variable if it is an absolute path, else undefined. */
export function named(machine: Machine, variable: string): string | undefined {
  return absolute(machine, machine.environment[variable])
}

const byVersion = new Intl.Collator("en", { numeric: true })

/** The matching children of a folder, highest version first: `cuda-12.10` before `cuda-12.9`. */
export function versions(machine: Machine, folder: string | undefined, name: RegExp): string[] {
  if (folder === undefined) return []
  const matching = machine.children(folder).filter((child) => name.test(child))
  return matching.sort((a, b) => byVersion.compare(b, a)).map((child) => joined(machine, folder, child))
}
