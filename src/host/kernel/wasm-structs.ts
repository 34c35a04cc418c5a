/**
 * What a WebAssembly kernel gets for structs: the address of a copy in the device's memory, laid out as C for WebAssembly
 * does, where pointers have 4 bytes. Each worker has a place of its own for the copies, as it runs one kernel at a time.
 */
import { type FlatSignature, flatten, hasPointer } from "../../common/struct/flat.js"
import { type Layout, NARROW_POINTER, withPointers } from "../../common/struct/layout.js"
import type { DeviceMemory } from "../control/memory.js"

/** Bytes that are copied as they are. */
interface Piece {
  readonly from: number
  readonly to: number
  readonly byteLength: number
}

/** The structs of one kernel on one worker. */
export class WasmStructs {
  readonly #memory: DeviceMemory
  readonly #address: number
  readonly #narrow: FlatSignature
  readonly #pieces: Piece[] = []

  /** `address`: the worker's place for copies, with any alignment that a struct may have. */
  constructor(places: FlatSignature["places"], memory: DeviceMemory, address: number) {
    this.#memory = memory
    this.#address = address
    this.#narrow = flatten(
      places.map((place) =>
        typeof place === "number" ? { dtype: "int32", access: undefined } : withPointers(place.layout, NARROW_POINTER),
      ),
    )
    for (const [index, wide] of places.entries()) {
      const narrow = this.#narrow.places[index]
      if (typeof wide === "number" || typeof narrow !== "object") continue
      this.#addPieces(wide.layout, narrow.layout, wide.offset, narrow.offset)
    }
  }

  #addPieces(wide: Layout, narrow: Layout, from: number, to: number): void {
    if (!hasPointer(wide)) {
      this.#pieces.push({ from, to, byteLength: wide.byteLength })
    } else if (wide.kind === "array" && narrow.kind === "array") {
      for (let index = 0; index < wide.length; index++) {
        const [step, narrowStep] = [index * wide.element.byteLength, index * narrow.element.byteLength]
        this.#addPieces(wide.element, narrow.element, from + step, to + narrowStep)
      }
    } else if (wide.kind === "struct" && narrow.kind === "struct") {
      for (const [index, field] of wide.fields.entries()) {
        const other = narrow.fields[index]
        if (other !== undefined) {
          this.#addPieces(field.layout, other.layout, from + field.offset, to + other.offset)
        }
      }
    }
  }

  /** Copies the structs of a launch. @returns the arguments, one for each parameter */
  place(flat: readonly (number | bigint)[], bytes: Uint8Array): (number | bigint)[] {
    const { places, pointers, byteLength } = this.#narrow
    const target = this.#memory.reaching(this.#address + byteLength)
    for (const { from, to, byteLength: size } of this.#pieces) {
      target.set(bytes.subarray(from, from + size), this.#address + to)
    }
    const inside = flat.length - pointers.length
    for (const [index, offset] of pointers.entries()) {
      writePointer(target, this.#address + offset, Number(flat[inside + index]))
    }
    return places.map((place) => (typeof place === "number" ? (flat[place] ?? 0) : this.#address + place.offset))
  }
}

function writePointer(bytes: Uint8Array, offset: number, address: number): void {
  for (let index = 0; index < NARROW_POINTER; index++) bytes[offset + index] = address >>> (8 * index)
}
