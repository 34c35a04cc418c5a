import { AuxstreamError, type ErrorCode } from "./errors.js"
import { show } from "./show.js"
import { isDetached } from "./typed-array.js"

/**
 * The error for a value that is not what it must be. Every such text has this form: what must be, what was given, what to
 * do.
 *
 * @param what names the value: a parameter as the user writes it, or a phrase such as `argument 2 of kernel "scale"`
 * @param allowed completes "must be"
 * @param advice a sentence without its period
 */
export function mustBe(
  what: string,
  allowed: string,
  value: unknown,
  advice?: string,
  code: ErrorCode = "AUX_INVALID_ARGUMENT",
): AuxstreamError {
  const rest = advice === undefined ? "" : `. ${advice}.`
  return new AuxstreamError(code, `${quoted(what)} must be ${allowed}; got ${show(value)}${rest}`)
}

/** A parameter's name in backticks, as in documentation. A phrase stays as it is. */
export function quoted(what: string): string {
  return what.includes(" ") ? what : `\`${what}\``
}

/** The most milliseconds that a timer can wait. */
export const LONGEST_TIMER = 2 ** 31 - 1

/** Whether a value is an array. Never throws, not even for a proxy that was revoked. */
export function isList(value: unknown): boolean {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

/** Throws unless the value is an integer from `least` to `most`. `what` names it in the message. */
export function checkInteger(value: unknown, what: string, least: number, most: number): asserts value is number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most) return
  throw notAnInteger(value, what, least, most)
}

/** Apart, so that {@link checkInteger} is small enough for the engine to inline it. */
function notAnInteger(value: unknown, what: string, least: number, most: number): AuxstreamError {
  return mustBe(what, `an integer from ${least} to ${most}`, value, undefined, "AUX_OUT_OF_RANGE")
}

/** Throws unless the value is a function. */
export function checkFunction(value: unknown, what: string): void {
  if (typeof value !== "function") throw mustBe(what, "a function", value)
}

/** Throws if the typed array has lost its buffer: then it has no elements, and an empty array in its place would hide that. */
export function checkAttached(value: ArrayBufferView, what: string): void {
  if (isDetached(value)) throw mustBe(what, "a typed array that has its buffer", value, "Use it before the transfer")
}

/** Throws unless the value is true or false. */
export function checkBoolean(value: unknown, what: string): asserts value is boolean {
  if (typeof value !== "boolean") throw mustBe(what, "true or false", value)
}

/** Throws unless the value is undefined, or an object with no other names than these. */
export function checkOptions(value: unknown, what: string, names: ReadonlySet<string>): void {
  if (value === undefined) return
  if (typeof value !== "object" || value === null) {
    throw mustBe(what, "an object or undefined", value)
  }
  checkNames(value, what, names)
}

/** Throws if the object has another name than these, because a misspelled option must not be ignored. */
export function checkNames(value: object, what: string, names: ReadonlySet<string>): void {
  for (const name in value) if (!names.has(name) && Object.hasOwn(value, name)) throw refusedName(name, what, names)
}

function refusedName(name: string, what: string, names: ReadonlySet<string>): Error {
  const known = [...names].join(", ")
  return new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `${quoted(what)} must have only these names: ${known}; got ${show(name)}`,
  )
}

/** Throws unless the value is a string or undefined. */
export function checkName(value: unknown, what: string): void {
  if (value === undefined || typeof value === "string") return
  throw mustBe(what, "a string or undefined", value)
}
