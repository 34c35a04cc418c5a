import { AuxstreamError } from "./errors.js"
import { show } from "./show.js"

/** Refuses what is no integer from `least` to `most`. `what` names it in the message, `advice` says what to do. */
export function checkInteger(value: unknown, what: string, least: number, most: number): asserts value is number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most) return
  throw refusedInteger(value, what, least, most)
}

function refusedInteger(value: unknown, what: string, least: number, most: number): Error {
  const message = `${what} is ${show(value)}; it is an integer from ${least} to ${most}`
  return new AuxstreamError("AUX_OUT_OF_RANGE", message)
}

/** Refuses what cannot be called. */
export function checkFunction(value: unknown, what: string): void {
  if (typeof value !== "function") throw refusedFunction(value, what)
}

function refusedFunction(value: unknown, what: string): Error {
  return new AuxstreamError("AUX_INVALID_ARGUMENT", `${what} is ${show(value)}; it is a function`)
}

/** Refuses options that are no object, and names that do not exist. Left out is allowed. */
export function checkOptions(value: unknown, what: string, names: ReadonlySet<string>): void {
  if (value === undefined) return
  if (typeof value !== "object" || value === null) {
    throw new AuxstreamError("AUX_INVALID_ARGUMENT", `${what} must be an object, or left out; got ${show(value)}`)
  }
  checkNames(value, what, names)
}

/** Refuses an object with a name of its own that does not exist: a name that is misspelled must not be passed over. */
export function checkNames(value: object, what: string, names: ReadonlySet<string>): void {
  for (const name in value) if (!names.has(name) && Object.hasOwn(value, name)) throw refusedName(name, what, names)
}

function refusedName(name: string, what: string, names: ReadonlySet<string>): Error {
  const known = [...names].join(", ")
  return new AuxstreamError("AUX_INVALID_ARGUMENT", `${what} must have no ${show(name)}; the names are: ${known}`)
}

/** Refuses a name that is no string. Left out is allowed. */
export function checkName(value: unknown, what: string): void {
  if (value === undefined || typeof value === "string") return
  throw new AuxstreamError("AUX_INVALID_ARGUMENT", `${what} is ${show(value)}; it is a string, or left out`)
}
