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

function getter<K extends keyof Facts>(key: K): (this: unknown) => Facts[K] {
  const get: ((this: unknown) => Facts[K]) | undefined = Reflect.getOwnPropertyDescriptor(prototype, key)?.get
  if (get === undefined) throw new TypeError(`this engine has no getter of a typed array's ${String(key)}`)
  return get
}

// Each is called in a place of its own: there the engine compiles a call into a few loads, which Reflect.get never is.
const nameGetter = getter(Symbol.toStringTag)
const lengthGetter = getter("length")
const byteLengthGetter = getter("byteLength")
const byteOffsetGetter = getter("byteOffset")
const bufferGetter = getter("buffer")

/** `"Float32Array"` and the like; undefined for what is no typed array, a DataView for one. Never throws. */
export function typedArrayName(value: unknown): string | undefined {
  return nameGetter.call(value)
}

/** Is it a typed array, and no DataView? */
export function isTypedArray(value: unknown): value is ArrayBufferView {
  return typedArrayName(value) !== undefined
}

/** How many elements a typed array has. */
export function lengthOf(array: ArrayBufferView): number {
  return lengthGetter.call(array)
}

/** The bytes under a typed array, as an array of this realm. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(bufferGetter.call(array), byteOffsetGetter.call(array), byteLengthGetter.call(array))
}
