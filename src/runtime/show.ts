import { inspect } from "node:util"
import { bytesOf, isTypedArray, typedArrayName } from "../typed-array.js"

/** A value in an error message: short, on one line. */
export function show(value: unknown): string {
  if (typeof value === "function") return `a function (${value.name === "" ? "anonymous" : value.name})`
  if (isTypedArray(value)) return `a ${typedArrayName(value)} of ${bytesOf(value).byteLength} bytes`
  if (value instanceof DataView) return `a DataView of ${value.byteLength} bytes`
  if (typeof value === "object" && value !== null && value.constructor !== Object && !Array.isArray(value)) {
    return `an object of class ${value.constructor?.name ?? "(none)"}`
  }
  const text = inspect(value, { depth: 1, breakLength: Infinity, maxArrayLength: 6, maxStringLength: 60 })
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}
