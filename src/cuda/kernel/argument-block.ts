/**
 * The memory into which the arguments of launches are written, for the driver to read. A block is reused by every launch.
 * The pointers to the arguments never change, so a launch writes values only.
 */
import type { KernelArgument } from "../../driver/kernels.js"
import { bfloat16Bits, float16Bits, float8Bits } from "../../common/dtype/half.js"
import type { FlatSignature } from "../../common/struct/flat.js"
import { alignUp } from "../../common/struct/layout.js"
import { CMemory } from "../native/c-memory.js"
import { BFLOAT16, FLOAT16, FLOAT32, FLOAT64, FLOAT8, INT32 } from "./argument-encoding.js"

/** Bytes of an argument that is no struct. */
const SLOT = 8

/** The arguments of kernels without structs, or of one kernel with structs. */
export class ArgumentBlock {
  /** How many arguments there is room for, without structs. */
  readonly capacity: number
  /** The address of an array with a pointer to each parameter's value. */
  readonly pointers: number
  readonly #memory: CMemory
  readonly #ints: Int32Array
  readonly #bigints: BigInt64Array
  readonly #floats: Float32Array
  readonly #doubles: Float64Array
  /** Where the structs are, in bytes. */
  readonly #structs: number
  /** Where the pointers inside structs are, in 32-bit words. Their arrays are the last arguments. */
  readonly #inside: readonly number[]

  private constructor(capacity: number, { places, byteLength, pointers }: Omit<FlatSignature, "primitives">) {
    const structs = capacity * SLOT
    const addresses = alignUp(structs + byteLength, SLOT)
    this.capacity = capacity
    this.#memory = new CMemory(addresses + places.length * SLOT)
    const { address, bytes } = this.#memory
    this.pointers = address + addresses
    places.forEach((place, index) => {
      const offset = typeof place === "number" ? place * SLOT : structs + place.offset
      this.#memory.setNumber(addresses + index * SLOT, address + offset)
    })
    this.#structs = structs
    this.#inside = pointers.map((offset) => (structs + offset) / 4)
    this.#ints = new Int32Array(bytes.buffer)
    this.#bigints = new BigInt64Array(bytes.buffer)
    this.#floats = new Float32Array(bytes.buffer)
    this.#doubles = new Float64Array(bytes.buffer)
  }

  /** For all kernels with up to this many parameters and without structs. */
  static ofMany(capacity: number): ArgumentBlock {
    return new ArgumentBlock(capacity, {
      places: Array.from({ length: capacity }, (_, i) => i),
      byteLength: 0,
      pointers: [],
    })
  }

  /** For one kernel with structs. */
  static ofOne(signature: FlatSignature): ArgumentBlock {
    return new ArgumentBlock(signature.primitives.length, signature)
  }

  /** Writes the arguments that are no structs. `encodings`: see `argument-encoding.ts`. */
  write(encodings: Uint8Array, args: readonly KernelArgument[]): void {
    const ints = this.#ints
    for (let i = 0; i < encodings.length; i++) {
      const arg = args[i]
      if (typeof arg === "object") {
        writeInteger(ints, i, arg.address)
      } else if (typeof arg === "bigint") {
        this.#bigints[i] = arg
      } else if (typeof arg === "number") {
        const encoding = encodings[i]
        if (encoding === INT32) ints[2 * i] = arg
        else if (encoding === FLOAT32) this.#floats[2 * i] = arg
        else if (encoding === FLOAT64) this.#doubles[i] = arg
        else if (encoding === FLOAT16) ints[2 * i] = float16Bits(arg)
        else if (encoding === BFLOAT16) ints[2 * i] = bfloat16Bits(arg)
        else if (encoding === FLOAT8) ints[2 * i] = float8Bits(arg)
        else writeInteger(ints, i, arg)
      }
    }
  }

  /** Writes the structs. Their pointers come from {@link write}, which must be called before. */
  writeStructs(structs: Uint8Array): void {
    this.#memory.bytes.set(structs, this.#structs)
    const ints = this.#ints
    let from = 2 * (this.capacity - this.#inside.length)
    for (const to of this.#inside) {
      ints[to] = ints[from++] ?? 0
      ints[to + 1] = ints[from++] ?? 0
    }
  }
}

/** Writes the two's complement of an integer below 2^53 in magnitude into the ith 64 bits. */
function writeInteger(ints: Int32Array, i: number, value: number): void {
  ints[2 * i] = value
  ints[2 * i + 1] = Math.floor(value / 0x1_0000_0000)
}
