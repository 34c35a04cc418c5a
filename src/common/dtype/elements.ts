import type { DType, SourceOf, TypedArrayOf } from "./dtype.js"
import { bfloat16Bits, float16Bits, float8Bits } from "./half.js"
import { bytesOf, typedArrayName } from "../typed-array.js"
import { mustBe } from "../check.js"

/** The numbers that are scalars of a type: all numbers, or the integers of a range. */
export interface NumberRange {
  readonly onlyIntegers: boolean
  readonly least: number
  readonly most: number
}

/** Which values are scalars of a type. */
interface Scalars {
  readonly numbers: NumberRange
  /** What a scalar must be, if the value is not one; otherwise undefined. */
  readonly refuses: (value: unknown) => string | undefined
}

/** What the library must know about the elements of one dtype. */
export interface ElementType<D extends DType> extends Scalars {
  readonly byteLength: number
  create(length: number): TypedArrayOf<D, ArrayBuffer>
  view(buffer: ArrayBufferLike, byteOffset: number, length: number): TypedArrayOf<D>
  /** Whether the value is a typed array of such elements. */
  holds(value: unknown): value is SourceOf<D>
  /** The bytes of one element, valid until the next call. The value has passed `refuses`. */
  encode(value: number | bigint): Uint8Array
}

/** Whether the value is a number of the range. Each launch asks this for each of its scalars. */
export function isNumberIn({ onlyIntegers, least, most }: NumberRange, value: unknown): value is number {
  return typeof value === "number" && (!onlyIntegers || (Number.isInteger(value) && value >= least && value <= most))
}

const anyNumber: Scalars = {
  numbers: { onlyIntegers: false, least: -Infinity, most: Infinity },
  refuses: (value) => (typeof value === "number" ? undefined : "a number"),
}

function integerBetween(least: number, most: number): Scalars {
  const numbers = { onlyIntegers: true, least, most }
  const allowed = `an integer from ${least} to ${most}`
  return { numbers, refuses: (value) => (isNumberIn(numbers, value) ? undefined : allowed) }
}

/** A range beyond the safe integers on one side at least. */
function bigIntegerBetween(least: bigint, most: bigint): Scalars {
  const numbers = {
    onlyIntegers: true,
    least: Math.max(Number(least), Number.MIN_SAFE_INTEGER),
    most: Number.MAX_SAFE_INTEGER,
  }
  const allowed = `a bigint or a safe integer from ${least} to ${most}`
  const fits = (value: unknown) => typeof value === "bigint" && value >= least && value <= most
  return { numbers, refuses: (value) => (isNumberIn(numbers, value) || fits(value) ? undefined : allowed) }
}

interface Constructor<D extends DType> {
  readonly BYTES_PER_ELEMENT: number
  readonly name: string
  new (length: number): TypedArrayOf<D, ArrayBuffer>
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TypedArrayOf<D>
}

function elementType<D extends DType>(
  Elements: Constructor<D>,
  { numbers, refuses }: Scalars,
  write: (element: TypedArrayOf<D, ArrayBuffer>, value: number | bigint) => void,
  names: readonly (string | undefined)[] = [Elements.name],
): ElementType<D> {
  // Reused, because creating two typed arrays costs more than the rest of a fill.
  const element = new Elements(1)
  const bytes = bytesOf(element)
  return {
    byteLength: Elements.BYTES_PER_ELEMENT,
    create: (length) => new Elements(length),
    view: (buffer, byteOffset, length) => new Elements(buffer, byteOffset, length),
    holds: (value): value is SourceOf<D> => names.includes(typedArrayName(value)),
    numbers,
    refuses,
    encode: (value) => {
      write(element, value)
      return bytes
    },
  }
}

function writeNumber(element: { [index: number]: number }, value: number | bigint): void {
  element[0] = Number(value)
}

function writeBigint(element: { [index: number]: bigint }, value: number | bigint): void {
  element[0] = BigInt(value)
}

/** Writes the bits that a number becomes. */
function writeBits(bitsOf: (value: number) => number) {
  return (element: { [index: number]: number }, value: number | bigint): void => {
    element[0] = bitsOf(Number(value))
  }
}

const table: { readonly [D in DType]: ElementType<D> } = {
  float16: elementType<"float16">(Uint16Array, anyNumber, writeBits(float16Bits), ["Uint16Array", "Float16Array"]),
  bfloat16: elementType<"bfloat16">(Uint16Array, anyNumber, writeBits(bfloat16Bits)),
  float32: elementType<"float32">(Float32Array, anyNumber, writeNumber),
  float64: elementType<"float64">(Float64Array, anyNumber, writeNumber),
  float8_e4m3fn: elementType<"float8_e4m3fn">(Uint8Array, anyNumber, writeBits(float8Bits)),
  int8: elementType<"int8">(Int8Array, integerBetween(-128, 127), writeNumber),
  uint8: elementType<"uint8">(Uint8Array, integerBetween(0, 255), writeNumber),
  int16: elementType<"int16">(Int16Array, integerBetween(-32768, 32767), writeNumber),
  uint16: elementType<"uint16">(Uint16Array, integerBetween(0, 65535), writeNumber),
  int32: elementType<"int32">(Int32Array, integerBetween(-(2 ** 31), 2 ** 31 - 1), writeNumber),
  uint32: elementType<"uint32">(Uint32Array, integerBetween(0, 2 ** 32 - 1), writeNumber),
  int64: elementType<"int64">(BigInt64Array, bigIntegerBetween(-(2n ** 63n), 2n ** 63n - 1n), writeBigint),
  uint64: elementType<"uint64">(BigUint64Array, bigIntegerBetween(0n, 2n ** 64n - 1n), writeBigint),
}

/** The names of all dtypes. */
export const dtypes: readonly string[] = Object.keys(table)

/** The element type of a valid dtype. */
export function elementsOf<D extends DType>(dtype: D): ElementType<D> {
  return table[dtype]
}

/** Whether the value is the name of a dtype. */
export function isDType(value: unknown): value is DType {
  return typeof value === "string" && Object.hasOwn(table, value)
}

/** Throws unless the value is the name of a dtype. */
export function checkDType(value: unknown): asserts value is DType {
  if (isDType(value)) return
  throw mustBe("dtype", `one of ${dtypes.join(", ")}`, value)
}

/** Throws unless the value is a scalar of the dtype. `what` names it in the message. */
export function checkScalar(dtype: DType, value: unknown, what: string): asserts value is number | bigint {
  const allowed = table[dtype].refuses(value)
  if (allowed !== undefined) throw mustBe(what, `${allowed} (${dtype})`, value)
}

const dtypesByName: { readonly [name: string]: DType | undefined } = {
  Float16Array: "float16",
  Float32Array: "float32",
  Float64Array: "float64",
  Int8Array: "int8",
  Uint8Array: "uint8",
  Int16Array: "int16",
  Uint16Array: "uint16",
  Int32Array: "int32",
  Uint32Array: "uint32",
  BigInt64Array: "int64",
  BigUint64Array: "uint64",
}

/** The dtype of a typed array; undefined if the value is none that has a dtype. */
export function dtypeOf(source: unknown): DType | undefined {
  return dtypesByName[typedArrayName(source) ?? ""]
}
