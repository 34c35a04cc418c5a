/**
 * Reads typed arrays of any realm through the engine's own getters. An object's own properties must never decide how many
 * bytes are copied.
 */

interface Facts {
  readonly [Symbol.toStringTag]: string | undefined
  readonly length: number
  readonly byteLength: number
  readonly byteOffset: number
  readonly buffer: ArrayBufferLike
}

/** The prototype with the engine's getters, which read the array's internal state. */
const prototype = Reflect.getPrototypeOf(Uint8Array.prototype) ?? {}

function getter<K extends keyof Facts>(key: K): (this: unknown) => Facts[K] {
  const get: ((this: unknown) => Facts[K]) | undefined = Reflect.getOwnPropertyDescriptor(prototype, key)?.get
  if (get === undefined) throw new TypeError(`This JavaScript engine has no getter for ${String(key)} of typed arrays.`)
  return get
}

// Each getter is called at one place only. There, unlike with Reflect.get, the engine compiles the call into a few loads.
const nameGetter = getter(Symbol.toStringTag)
const lengthGetter = getter("length")
const byteLengthGetter = getter("byteLength")
const byteOffsetGetter = getter("byteOffset")
const bufferGetter = getter("buffer")

/** The class name, such as `"Float32Array"`; undefined if the value is not a typed array (a DataView is not). Never throws. */
export function typedArrayName(value: unknown): string | undefined {
  return nameGetter.call(value)
}

/** Whether the value is a typed array. A DataView is not. */
export function isTypedArray(value: unknown): value is ArrayBufferView {
  return typedArrayName(value) !== undefined
}

/** The number of elements. */
export function lengthOf(array: ArrayBufferView): number {
  return lengthGetter.call(array)
}

const keys = Reflect.get(prototype, "keys") as (this: unknown) => unknown

/** Whether the typed array has lost its buffer: it was transferred, or has become too short. */
export function isDetached(array: ArrayBufferView): boolean {
  if (lengthOf(array) > 0) return false
  try {
    keys.call(array) // Throws a TypeError for such an array only.
    return false
  } catch {
    return true
  }
}

/** The bytes of a typed array, as a view of this realm. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  const byteLength = byteLengthGetter.call(array)
  // A detached buffer cannot be viewed. Its array has no elements, which the caller's check of the length refuses.
  if (byteLength === 0) return new Uint8Array(0)
  return new Uint8Array(bufferGetter.call(array), byteOffsetGetter.call(array), byteLength)
}
