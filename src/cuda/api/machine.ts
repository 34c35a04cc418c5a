/**
 * What the search for files depends on: the platform, the environment, the user, the disk.
 *
 * The searches are functions of a `Machine`, so that what each platform finds is tested on any. They search absolute
 * paths only: a path below the current folder would let whoever can write there choose the code that this process runs.
 */
import { existsSync, readdirSync } from "node:fs"
import { homedir } from "node:os"
import { posix, win32 } from "node:path"

export interface Machine {
  readonly platform: NodeJS.Platform
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The user's home folder; undefined for a user without one, as in containers that run under any user id. */
  readonly home: string | undefined
  exists(path: string): boolean
  /** The names in a folder; none if it cannot be read. */
  children(folder: string): readonly string[]
}

/** The machine that this process runs on, as it is now. */
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

/** Joins the parts of a path as this machine's platform writes it. */
export function joined({ platform }: Machine, ...parts: readonly string[]): string {
  return (platform === "win32" ? win32 : posix).join(...parts)
}

/** Is this an absolute path? On Windows it must name its drive or server: `\folder` depends on the current drive. */
export function isAbsolute({ platform }: Machine, path: string): boolean {
  return platform === "win32" ? /^(?:[a-z]:[\\/]|[\\/]{2})/i.test(path) : path.startsWith("/")
}

/** The path, if there is one and it is absolute. */
export function absolute(machine: Machine, path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(machine, path) ? path : undefined
}

/** The folder that an environment variable names, if it names one by an absolute path. */
export function named(machine: Machine, variable: string): string | undefined {
  return absolute(machine, machine.environment[variable])
}

const byVersion = new Intl.Collator("en", { numeric: true })

/** The folders in a folder whose names match, the highest version first: `cuda-12.10` before `cuda-12.9`. */
export function versions(machine: Machine, folder: string | undefined, name: RegExp): string[] {
  if (folder === undefined) return []
  const matching = machine.children(folder).filter((child) => name.test(child))
  return matching.sort((a, b) => byVersion.compare(b, a)).map((child) => joined(machine, folder, child))
}
