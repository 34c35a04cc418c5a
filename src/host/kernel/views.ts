/** Typed arrays over the device's memory, which JavaScript kernels get. */
import type { DeviceMemory } from "../control/memory.js"

export type View =
  | Uint16Array
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array

const WAYS = 4

/** Keeps the latest views for one parameter: making a typed array costs more than a small kernel. */
export class ViewCache {
  readonly #addresses: number[] = Array<number>(WAYS).fill(-1)
  readonly #lengths: number[] = Array<number>(WAYS).fill(-1)
  readonly #views: (View | undefined)[] = Array<undefined>(WAYS).fill(undefined)
  #oldest = 0
  readonly #memory: DeviceMemory
  readonly #code: number

  constructor(memory: DeviceMemory, code: number) {
    this.#memory = memory
    this.#code = code
  }

  find(address: number, length: number): View {
    for (let way = 0; way < WAYS; way++) {
      if (this.#addresses[way] === address && this.#lengths[way] === length) return this.#views[way] as View
    }
    const view = makeView(this.#memory, this.#code, address, length)
    const way = this.#oldest
    this.#addresses[way] = address
    this.#lengths[way] = length
    this.#views[way] = view
    this.#oldest = (way + 1) % WAYS
    return view
  }
}

type ViewType = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => View

const VIEWS: readonly (ViewType & { readonly BYTES_PER_ELEMENT: number })[] = [
  Uint16Array,
  Uint16Array,
  Float32Array,
  Float64Array,
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
  Uint8Array,
]

/** The elements of the dtype with this code, at an address. */
export function makeView(memory: DeviceMemory, code: number, address: number, length: number): View {
  const type = VIEWS[code] ?? Uint8Array
  const end = address + length * type.BYTES_PER_ELEMENT
  return new type(memory.reaching(end).buffer, address, length)
}
