/**
 * What a JavaScript kernel gets for structs: objects of its own for each launch, made from the bytes in the command. Arrays
 * of scalars are typed arrays, and pointers are the typed arrays that the launch has made for them.
 */
import { elementsOf } from "../../common/dtype/elements.js"
import type { FlatSignature } from "../../common/struct/flat.js"
import type { ArrayLayout, Layout, StructLayout } from "../../common/struct/layout.js"
import { readScalar } from "../../common/struct/scalars.js"

/** A launch's arguments, one for each parameter. `flat` are those that are no structs; `bytes` are the structs' own. */
export function withStructs(places: FlatSignature["places"], flat: readonly unknown[], bytes: Uint8Array): unknown[] {
  const inside = places.reduce<number>((count, place) => count + (typeof place === "number" ? 1 : 0), 0)
  const reader = new StructReader(bytes, flat, inside)
  return places.map((place) => (typeof place === "number" ? flat[place] : reader.read(place.layout, place.offset)))
}

/** Reads the structs of one launch, in order. */
class StructReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #flat: readonly unknown[]
  /** The place of the next pointer's array. */
  #next: number

  constructor(bytes: Uint8Array, flat: readonly unknown[], inside: number) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#flat = flat
    this.#next = inside
  }

  read(layout: Layout, offset: number): unknown {
    switch (layout.kind) {
      case "primitive":
        return layout.access === undefined ? readScalar(this.#view, offset, layout.dtype) : this.#flat[this.#next++]
      case "opaque":
        return this.#bytes.subarray(offset, offset + layout.byteLength)
      case "array":
        return this.#readArray(layout, offset)
      case "struct":
        return this.#readStruct(layout, offset)
    }
  }

  #readArray({ element, length }: ArrayLayout, offset: number): unknown {
    const { buffer, byteOffset } = this.#bytes
    if (element.kind === "primitive" && element.access === undefined) {
      return elementsOf(element.dtype).view(buffer, byteOffset + offset, length)
    }
    return Array.from({ length }, (_, index) => this.read(element, offset + index * element.byteLength))
  }

  #readStruct({ fields }: StructLayout, offset: number): unknown {
    const value: Record<string, unknown> = {}
    for (const field of fields) value[field.name] = this.read(field.layout, offset + field.offset)
    return value
  }
}
