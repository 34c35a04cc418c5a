/** Loading a library of the CUDA toolkit once, at its first use. */
import type { AuxstreamError } from "../runtime/errors.js"
import { firstLine, loadLibrary, type NativeLibrary } from "./ffi.js"
import { TOOLKIT_PLACES, toolkitCandidates, type ToolkitFile } from "./toolkit-places.js"

/** A library of the toolkit, and what is made of it. */
export interface ToolkitLibrary<T> {
  readonly file: ToolkitFile
  /** The environment variable that names the library. */
  readonly variable: string
  make(library: NativeLibrary, path: string): T
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
      return wanted.make(loadLibrary(path), path)
    } catch (error) {
      throw wanted.missing(`cannot be used from where ${wanted.variable} says (${path}: ${firstLine(error)})`)
    }
  }
  for (const candidate of toolkitCandidates(wanted.file, driverMajor)) {
    try {
      return wanted.make(loadLibrary(candidate), candidate)
    } catch {
      continue
    }
  }
  throw wanted.missing(`was not found in ${TOOLKIT_PLACES}`)
}
