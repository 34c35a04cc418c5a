import { inspect } from "node:util"
import { bytesOf, isTypedArray, typedArrayName } from "../typed-array.js"

/** A value in an error message: short, on one line. Never throws, whatever the value's own code does. */
export function show(value: unknown): string {
  return shorten(() => describe(value))
}

/** What somebody else's code threw, in the message of a warning. Never throws. */
export function showThrown(value: unknown): string {
  return shorten(() => String(value), 1000)
}

function describe(value: unknown): string {
  if (typeof value === "function") return `a function (${value.name === "" ? "anonymous" : value.name})`
  if (isTypedArray(value)) return `a ${typedArrayName(value)} of ${bytesOf(value).byteLength} bytes`
  if (value instanceof DataView) return `a DataView of ${value.byteLength} bytes`
  if (typeof value === "object" && value !== null && value.constructor !== Object && !Array.isArray(value)) {
    return `an object of class ${value.constructor?.name ?? "(none)"}`
  }
  return inspect(value, { depth: 1, breakLength: Infinity, maxArrayLength: 6, maxStringLength: 60 })
}

/** Proxies, getters and `toString` run the user's code, which may throw. */
function shorten(describe: () => string, most = 120): string {
  try {
    const text = describe().replace(/\s*[\r\n]\s*/g, " ")
    return text.length > most ? `${text.slice(0, most - 3)}...` : text
  } catch {
    return "a value that cannot be shown"
  }
}
