/**
 * Typed arrays as the engine knows them: of any realm, whatever their own properties and their prototypes say. What an
 * object says of its size must never decide how many bytes are copied.
 */

interface Facts {
  readonly [Symbol.toStringTag]: string | undefined
  readonly length: number
  readonly byteLength: number
  readonly byteOffset: number
  readonly buffer: ArrayBufferLike
}

/** Where the engine's own getters are, which look into the array itself. */
const prototype = Reflect.getPrototypeOf(Uint8Array.prototype) ?? {}

function fact<K extends keyof Facts>(key: K): (array: unknown) => Facts[K] {
  return (array) => Reflect.get(prototype, key, array)
}

/** `"Float32Array"` and the like; undefined for what is no typed array, a DataView for one. Never throws. */
export const typedArrayName = fact(Symbol.toStringTag)
const byteLength = fact("byteLength")
const byteOffset = fact("byteOffset")
const buffer = fact("buffer")

/** Is it a typed array, and no DataView? */
export function isTypedArray(value: unknown): value is ArrayBufferView {
  return typedArrayName(value) !== undefined
}

/** How many elements a typed array has. */
export const lengthOf: (array: ArrayBufferView) => number = fact("length")

/** The bytes under a typed array, as an array of this realm. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer(array), byteOffset(array), byteLength(array))
}
