/** Loads a library of the CUDA toolkit once, at its first use. It must never load one while the package is imported. */
import { readFileSync, realpathSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import type { AuxstreamError } from "../../common/errors.js"
import { firstLine, loadLibrary, type NativeLibrary } from "../native/ffi.js"
import { thisMachine } from "../native/machine.js"
import { toolkitCandidates, type ToolkitFile, toolkitPlaces } from "./toolkit-places.js"

/** A library of the toolkit, and the object that wraps it. */
export interface ToolkitLibrary<T> {
  readonly file: ToolkitFile
  /** The environment variable with the library's path. */
  readonly variable: string
  /** The name of a library that this one needs, in the same folder, which the loader may not search. */
  needs?(name: string): string
  /** `file`: the library's path; undefined if it cannot be determined. */
  make(library: NativeLibrary, file: string | undefined): T
  /** The error when the library cannot be loaded. `where` is the part of its sentence that says where we searched. */
  missing(where: string): AuxstreamError
}

/** Returns a function that loads the library at its first call, for a driver's major version, and returns its wrapper. */
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
      throw wanted.missing(`cannot be loaded from ${wanted.variable} (${path}: ${firstLine(error)})`)
    }
  }
  const machine = thisMachine()
  let failed = ""
  for (const candidate of toolkitCandidates(machine, wanted.file, driverMajor)) {
    try {
      return open(wanted, candidate)
    } catch (error) {
      if (hasFolder(candidate)) failed = `cannot be loaded from ${candidate} (${firstLine(error)}), and `
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

/** Loads a library from another one's folder, if it is there. Later loads by its bare name then find it. */
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

/** The path of a library that was loaded by its name. */
function loadedFile(name: string): string | undefined {
  try {
    const paths = readFileSync("/proc/self/maps", "utf8").matchAll(/ (\/.+)$/gm)
    return Array.from(paths, ([, path = ""]) => path).find((path) => basename(path).startsWith(name))
  } catch {
    return undefined // Only Linux has this file.
  }
}
