import type { DType, Field, Fields, OpaqueBytes, StructParameter } from "../../src/index.js"
import { dtypes, elementsOf, isDType } from "../../src/common/dtype/elements.js"
import { bfloat16Bits, float16Bits, float8Bits } from "../../src/common/dtype/half.js"
import { bytesOf } from "../../src/common/typed-array.js"

/** Random structs as a signature has them, the same in C, and values for them. */

/** A random integer below a bound. */
export type Pick = (below: number) => number

const allDTypes = dtypes.filter(isDType)

/** The C types of the dtypes. The 16-bit floats are bit patterns there. */
export const cTypes: Readonly<Record<DType, string>> = {
  float16: "unsigned short",
  bfloat16: "unsigned short",
  float8_e4m3fn: "unsigned char",
  float32: "float",
  float64: "double",
  int8: "signed char",
  uint8: "unsigned char",
  int16: "short",
  uint16: "unsigned short",
  int32: "int",
  uint32: "unsigned int",
  int64: "long long",
  uint64: "unsigned long long",
}

export function isStruct(field: Field): field is StructParameter {
  return typeof field === "object" && "struct" in field
}

export function isBytes(field: Field): field is OpaqueBytes {
  return typeof field === "object" && "bytes" in field
}

export function isArray(field: Field): field is readonly [Field, number] {
  return Array.isArray(field)
}

/** The access and the dtype of a pointer. */
function pointerOf(field: Field): DType | undefined {
  const dtype = typeof field === "string" ? /^\w+ (\w+)\*$/.exec(field)?.[1] : undefined
  return isDType(dtype) ? dtype : undefined
}

/** The alignment that a field has in C, in bytes. */
function alignOf(field: Field): number {
  if (isArray(field)) return alignOf(field[0])
  if (isStruct(field)) return Math.max(field.align ?? 1, ...Object.values(field.struct).map(alignOf))
  if (isBytes(field)) return field.align ?? 1
  return isDType(field) ? elementsOf(field).byteLength : 8
}

export function randomStruct(pick: Pick, depth = 3): StructParameter {
  const fields: Record<string, Field> = {}
  const count = 1 + pick(depth === 3 ? 8 : 4)
  for (let index = 0; index < count; index++) fields[`f${index}`] = randomField(pick, depth)
  if (pick(4) > 0) return { struct: fields }
  return { struct: fields, align: Math.max(2 ** pick(6), ...Object.values(fields).map(alignOf)) }
}

function randomField(pick: Pick, depth: number): Field {
  const dtype = allDTypes[pick(allDTypes.length)] ?? "int32"
  const kind = pick(depth === 0 ? 6 : 10)
  if (kind < 4) return dtype
  if (kind === 4) return `${(["in", "out", "inout"] as const)[pick(3)] ?? "in"} ${dtype}*`
  if (kind === 5) {
    const align = 2 ** pick(5)
    return { bytes: align * (1 + pick(3)), align }
  }
  if (kind < 8) return [randomField(pick, depth - 1), 1 + pick(4)]
  return randomStruct(pick, depth - 1)
}

/**
 * The struct in C. `pointer` is the type of a pointer to elements of a type; where C has pointers of another size than the
 * device, an integer.
 */
export function inC(name: string, { struct, align }: StructParameter, pointer = (type: string) => `${type} *`): string {
  return `struct ${aligned(align)}${name} {\n${members(struct, pointer)}};\n`
}

function aligned(align = 1): string {
  return align === 1 ? "" : `__attribute__((aligned(${align}))) `
}

function members(fields: Fields, pointer: (type: string) => string): string {
  return Object.entries(fields)
    .map(([name, field]) => `${declaration(field, name, pointer)};\n`)
    .join("")
}

function declaration(field: Field, name: string, pointer: (type: string) => string): string {
  if (isArray(field)) return declaration(field[0], `${name}[${field[1]}]`, pointer)
  if (isStruct(field)) return `struct ${aligned(field.align)}{\n${members(field.struct, pointer)}} ${name}`
  if (isBytes(field)) return `struct ${aligned(field.align)}{ unsigned char bytes[${field.bytes}]; } ${name}`
  const dtype = pointerOf(field)
  if (dtype !== undefined) return `${pointer(cTypes[dtype])} ${name}`
  return `${cTypes[isDType(field) ? field : "int32"]} ${name}`
}

/** A scalar, a pointer or bytes somewhere inside a struct. */
export interface Leaf {
  /** In C and in JavaScript, behind the struct's name: `.f1[2].f0`. */
  readonly path: string
  readonly field: Field
  /** Bytes in C; of a pointer, those of the first element that it points to. */
  readonly byteLength: number
  readonly isPointer: boolean
}

/** Everything inside a field that is no array and no struct, in order. */
export function leavesOf(field: Field, path = ""): Leaf[] {
  if (isArray(field)) {
    return Array.from({ length: field[1] }, (_, index) => leavesOf(field[0], `${path}[${index}]`)).flat()
  }
  if (isStruct(field)) {
    return Object.entries(field.struct).flatMap(([name, inner]) => leavesOf(inner, `${path}.${name}`))
  }
  if (isBytes(field)) return [{ path, field, byteLength: field.bytes, isPointer: false }]
  const target = pointerOf(field)
  const dtype = target ?? (isDType(field) ? field : "int32")
  return [{ path, field, byteLength: elementsOf(dtype).byteLength, isPointer: target !== undefined }]
}

/** The part of a value that a leaf's path names. */
export function partOf(value: unknown, { path }: Leaf): unknown {
  let part = value
  for (const [, name, index] of path.matchAll(/\.(\w+)|\[(\d+)\]/g))
    part = Reflect.get(Object(part), name ?? index ?? "")
  return part
}

/** The bytes of a scalar, or of bytes. */
export function bytesIn({ field }: Leaf, value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (!isDType(field) || (typeof value !== "number" && typeof value !== "bigint")) throw new TypeError("not a scalar")
  const array = elementsOf(field).create(1)
  if (array instanceof BigInt64Array || array instanceof BigUint64Array) array[0] = BigInt(value)
  else if (field === "float16") array[0] = float16Bits(Number(value))
  else if (field === "bfloat16") array[0] = bfloat16Bits(Number(value))
  else if (field === "float8_e4m3fn") array[0] = float8Bits(Number(value))
  else array[0] = Number(value)
  return bytesOf(array)
}

/** A value that `launch` takes for a field. `arrayOf` makes the array for a pointer. */
export function randomValue(field: Field, pick: Pick, arrayOf: (dtype: DType) => unknown): unknown {
  if (isArray(field)) return randomElements(field, pick, arrayOf)
  if (isStruct(field)) {
    const entries = Object.entries(field.struct).map(([name, inner]) => [name, randomValue(inner, pick, arrayOf)])
    return Object.fromEntries(entries)
  }
  if (isBytes(field)) return Uint8Array.from({ length: field.bytes }, () => pick(256))
  const target = pointerOf(field)
  return target === undefined ? randomScalar(isDType(field) ? field : "int32", pick) : arrayOf(target)
}

/** The floats that JavaScript has as bit patterns only. */
export function isSmallFloat(dtype: DType): boolean {
  return dtype === "float16" || dtype === "bfloat16" || dtype === "float8_e4m3fn"
}

/** A typed array now and then. */
function randomElements([element, length]: readonly [Field, number], pick: Pick, arrayOf: (dtype: DType) => unknown) {
  const values = Array.from({ length }, () => randomValue(element, pick, arrayOf))
  if (!isDType(element) || isSmallFloat(element) || pick(2) === 0) return values
  const array = elementsOf(element).create(length)
  for (const [index, value] of values.entries()) {
    const isBig = (element === "int64" || element === "uint64") && typeof value === "number"
    Reflect.set(array, index, isBig ? BigInt(value) : value)
  }
  return array
}

function randomScalar(dtype: DType, pick: Pick): number | bigint {
  const bits = 8 * elementsOf(dtype).byteLength
  if (isSmallFloat(dtype)) return (pick(512) - 256) / 4
  if (dtype === "float32" || dtype === "float64") return (pick(2 ** 24) - 2 ** 23) / 2 ** pick(30)
  if (bits === 64) {
    if (pick(4) === 0) return (dtype === "int64" && pick(2) === 0 ? -1 : 1) * pick(2 ** 32) * pick(2 ** 21)
    const value = (BigInt(pick(2 ** 32)) << 32n) | BigInt(pick(2 ** 32))
    return dtype === "int64" ? BigInt.asIntN(64, value) : value
  }
  const value = pick(2 ** bits)
  return dtype.startsWith("u") ? value : value - 2 ** (bits - 1)
}
