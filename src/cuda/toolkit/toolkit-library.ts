/** Loading a library of the CUDA toolkit once, at its first use. */
import { readFileSync, realpathSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import type { AuxstreamError } from "../../common/errors.js"
import { firstLine, loadLibrary, type NativeLibrary } from "../api/ffi.js"
import { thisMachine } from "../api/machine.js"
import { toolkitCandidates, type ToolkitFile, toolkitPlaces } from "./toolkit-places.js"

/** A library of the toolkit, and what is made of it. */
export interface ToolkitLibrary<T> {
  readonly file: ToolkitFile
  /** The environment variable that names the library. */
  readonly variable: string
  /** The name of a library that this one needs and that lies beside it, where the loader may not look. */
  needs?(name: string): string
  /** `file`: where the library lies; undefined if that cannot be found out. */
  make(library: NativeLibrary, file: string | undefined): T
  /** The error when it is not there. `where` says in words where it was looked for. */
  missing(where: string): AuxstreamError
}

/** A function that gives what is made of the library, loaded at the first call for a driver's major version. */
export function toolkitLibrary<T>(wanted: ToolkitLibrary<T>): (driverMajor: number) => T {
  let opened: { readonly path: string | undefined; readonly made: T } | undefined
  return (driverMajor) => {
    const path = process.env[wanted.variable] || undefined
    if (opened === undefined || opened.path !== path) opened = { path, made: load(wanted, path, driverMajor) }
    return opened.made
  }
}

function load<T>(wanted: ToolkitLibrary<T>, path: string | undefined, driverMajor: number): T {
  if (path !== undefined) {
    try {
      return open(wanted, path)
    } catch (error) {
      throw wanted.missing(`cannot be used from where ${wanted.variable} says (${path}: ${firstLine(error)})`)
    }
  }
  const machine = thisMachine()
  let failed = ""
  for (const candidate of toolkitCandidates(machine, wanted.file, driverMajor)) {
    try {
      return open(wanted, candidate)
    } catch (error) {
      if (hasFolder(candidate)) failed = `${candidate} cannot be used (${firstLine(error)}), and it `
    }
  }
  throw wanted.missing(`${failed}was not found in ${toolkitPlaces(machine)}`)
}

function open<T>(wanted: ToolkitLibrary<T>, path: string): T {
  if (wanted.needs !== undefined && hasFolder(path)) loadBeside(path, wanted.needs(basename(path)))
  const library = loadLibrary(path)
  return wanted.make(library, hasFolder(path) ? resolve(path) : loadedFile(path))
}

function hasFolder(path: string): boolean {
  return path.includes("/") || path.includes("\\")
}

/** Loads a library that lies beside another one, if it does: whoever asks for it by its name then gets it. */
export function loadBeside(file: string, name: string): void {
  for (const folder of new Set([dirname(file), dirname(realPath(file))])) {
    try {
      loadLibrary(join(folder, name))
      return
    } catch {
      continue
    }
  }
}

function realPath(file: string): string {
  try {
    return realpathSync(file)
  } catch {
    return file
  }
}

/** Where the loader found a library that it was given the name of. */
function loadedFile(name: string): string | undefined {
  try {
    const paths = readFileSync("/proc/self/maps", "utf8").matchAll(/ (\/.+)$/gm)
    return Array.from(paths, ([, path = ""]) => path).find((path) => basename(path).startsWith(name))
  } catch {
    return undefined // Only Linux tells.
  }
}
