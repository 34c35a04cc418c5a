import { inspect } from "node:util"
import { bytesOf, isDetached, isTypedArray, typedArrayName } from "./typed-array.js"
import { otherCopyOf } from "./copy.js"

/** Describes a value in an error message, briefly and on one line. Never throws, whatever the value's own code does. */
export function show(value: unknown): string {
  return attempt(() => describeStranger(value) ?? cut(describe(value), 120))
}

/** Describes an error that the user's code threw, in the message of a warning. Never throws. */
export function showThrown(value: unknown): string {
  return attempt(() => cut(String(value), 1000))
}

/** The text with a capital letter, to begin a sentence. */
export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** Advice to raise a limit of the shell, followed by "or". Empty on Windows, where shells have no such limits. */
export function raiseLimit(what: string, option: `-${string}`, platform = process.platform): string {
  return platform === "win32" ? "" : `raise the limit on ${what} (ulimit ${option}), or `
}

/** Describes an object that another copy of this package made. */
function describeStranger(value: unknown): string | undefined {
  const copy = typeof value === "object" && value !== null ? otherCopyOf(value) : undefined
  if (copy === undefined) return undefined
  return `a ${value?.constructor.name} of another copy of auxstream, ${copy} ("npm ls auxstream" lists all; use only one)`
}

function describe(value: unknown): string {
  if (typeof value === "function") return `a function (${value.name === "" ? "anonymous" : value.name})`
  if (isTypedArray(value) && isDetached(value))
    return `a ${typedArrayName(value)} whose buffer was transferred or shrunk`
  if (isTypedArray(value)) return `a ${typedArrayName(value)} of ${bytesOf(value).byteLength} bytes`
  if (value instanceof DataView) return `a DataView of ${value.byteLength} bytes`
  if (typeof value === "object" && value !== null && value.constructor !== Object && !Array.isArray(value)) {
    return `an object of class ${value.constructor?.name ?? "(none)"}`
  }
  return inspect(value, { depth: 1, breakLength: Infinity, maxArrayLength: 6, maxStringLength: 60 })
}

function cut(text: string, most: number): string {
  const line = text.replace(/\s*[\r\n]\s*/g, " ")
  return line.length > most ? `${line.slice(0, most - 3)}...` : line
}

/** Proxies, getters and `toString` run the user's code, which may throw. */
function attempt(describe: () => string): string {
  try {
    return describe()
  } catch {
    return "a value that cannot be shown"
  }
}
