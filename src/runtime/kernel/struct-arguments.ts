/**
 * Replaces the structs among a launch's arguments: writes their bytes as C lays them out, and adds the arrays behind their
 * pointers to the other arguments. It must read each value only once, because reading may run the caller's code.
 */
import { checkScalar, elementsOf } from "../../common/dtype/elements.js"
import { AuxstreamError } from "../../common/errors.js"
import { show } from "../../common/show.js"
import type { FlatSignature } from "../../common/struct/flat.js"
import type { ArrayLayout, Layout, OpaqueLayout, PrimitiveLayout, StructLayout } from "../../common/struct/layout.js"
import { writeScalar } from "../../common/struct/scalars.js"
import { bytesOf, lengthOf, typedArrayName } from "../../common/typed-array.js"

/** Writes the structs of a kernel's launches, one launch after another. */
export class StructWriter {
  /** The bytes of the structs of the latest launch. Padding is always zero. */
  readonly bytes: Uint8Array
  readonly #kernel: string
  readonly #signature: FlatSignature
  readonly #view: DataView
  /** The way to the current value. */
  readonly #path: (string | number)[] = []
  #flat: unknown[] = []

  constructor(kernel: string, signature: FlatSignature) {
    const buffer = new ArrayBuffer(signature.byteLength)
    this.bytes = new Uint8Array(buffer)
    this.#kernel = kernel
    this.#signature = signature
    this.#view = new DataView(buffer)
  }

  /**
   * Writes the structs among the arguments, of which there is one for each parameter.
   *
   * @returns the flat arguments. The arrays among these are not checked yet, nor are the scalars that are parameters.
   */
  take(args: readonly unknown[]): unknown[] {
    const { places } = this.#signature
    const flat: unknown[] = []
    this.#flat = flat
    for (let index = 0; index < places.length; index++) if (typeof places[index] === "number") flat.push(args[index])
    for (let index = 0; index < places.length; index++) {
      const place = places[index]
      if (typeof place === "object") this.#write(place.layout, args[index], place.offset, index)
    }
    this.#flat = []
    return flat
  }

  /** Writes a value at an offset. `key` is the argument's place, the field's name, or the element's index. */
  #write(layout: Layout, value: unknown, offset: number, key: string | number): void {
    this.#path.push(key)
    switch (layout.kind) {
      case "primitive":
        this.#writePrimitive(layout, value, offset)
        break
      case "opaque":
        this.#writeOpaque(layout, value, offset)
        break
      case "array":
        this.#writeArray(layout, value, offset)
        break
      case "struct":
        this.#writeStruct(layout, value, offset)
    }
    this.#path.pop()
  }

  #writePrimitive({ dtype, access }: PrimitiveLayout, value: unknown, offset: number): void {
    if (access !== undefined) {
      this.#flat.push(value)
      return
    }
    if (isNumber(value) && elementsOf(dtype).refuses(value) === undefined) {
      writeScalar(this.#view, offset, dtype, value)
    } else {
      checkScalar(dtype, value, this.#what())
    }
  }

  #writeOpaque({ byteLength }: OpaqueLayout, value: unknown, offset: number): void {
    if (!elementsOf("uint8").holds(value) || lengthOf(value) !== byteLength) {
      throw this.#invalid(`must be a Uint8Array of ${byteLength} bytes; got ${show(value)}`)
    }
    this.bytes.set(bytesOf(value), offset)
  }

  #writeArray(layout: ArrayLayout, value: unknown, offset: number): void {
    const { element, length } = layout
    if (element.kind === "primitive" && element.access === undefined && typedArrayName(value) !== undefined) {
      this.#writeElements(layout, element, value, offset)
      return
    }
    if (!Array.isArray(value)) throw this.#invalid(`must be ${allowedFor(layout)}; got ${show(value)}`)
    if (value.length !== length) throw this.#wrongLength(layout, value.length)
    for (let index = 0; index < length; index++) {
      this.#write(element, value[index], offset + index * element.byteLength, index)
    }
  }

  #writeElements(layout: ArrayLayout, { dtype }: PrimitiveLayout, value: unknown, offset: number): void {
    if (!elementsOf(dtype).holds(value)) throw this.#invalid(`must be ${allowedFor(layout)}; got ${show(value)}`)
    if (lengthOf(value) !== layout.length) throw this.#wrongLength(layout, lengthOf(value))
    this.bytes.set(bytesOf(value), offset)
  }

  #writeStruct({ fields }: StructLayout, value: unknown, offset: number): void {
    if (!isRecord(value)) {
      throw this.#invalid(`must be an object with the fields ${namesOf(fields)}; got ${show(value)}`)
    }
    for (let index = 0; index < fields.length; index++) {
      const field = fields[index]
      if (field === undefined) continue
      const part = value[field.name]
      if (part === undefined) throw this.#invalid(`must have the field \`${field.name}\`; got ${show(value)}`)
      this.#write(field.layout, part, offset + field.offset, field.name)
    }
    let more = -fields.length
    for (const _ in value) more++
    if (more > 0) this.#checkNames(fields, value)
  }

  /** A misspelled name must not be ignored. */
  #checkNames(fields: StructLayout["fields"], value: object): void {
    for (const name of Object.keys(value)) {
      if (fields.some((field) => field.name === name)) continue
      throw this.#invalid(`must have only the fields ${namesOf(fields)}; got ${show(name)}`)
    }
  }

  #wrongLength(layout: ArrayLayout, length: number): AuxstreamError {
    return this.#error("AUX_LENGTH_MISMATCH", `must be ${allowedFor(layout)}; got ${length} elements`)
  }

  #invalid(reason: string): AuxstreamError {
    return this.#error("AUX_INVALID_ARGUMENT", reason)
  }

  #error(code: "AUX_INVALID_ARGUMENT" | "AUX_LENGTH_MISMATCH", reason: string): AuxstreamError {
    return new AuxstreamError(code, `${this.#what()} ${reason}`)
  }

  #what(): string {
    const path = this.#path.map((key, index) => (index === 0 ? key : typeof key === "number" ? `[${key}]` : `.${key}`))
    return `Argument ${path.join("")} of kernel "${this.#kernel}"`
  }
}

function allowedFor({ element, length }: ArrayLayout): string {
  if (element.kind !== "primitive" || element.access !== undefined) return `an array of ${length} elements`
  const typedArray = typedArrayName(elementsOf(element.dtype).create(0))
  return `an array of ${length} ${element.dtype} elements (${typedArray} or Array)`
}

function isRecord(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function isNumber(value: unknown): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint"
}

function namesOf(fields: StructLayout["fields"]): string {
  return fields.map(({ name }) => name).join(", ")
}
