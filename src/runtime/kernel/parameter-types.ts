/** The types of signatures, of the arguments of `launch`, and of the arguments of a host kernel. */
import type { DType, ScalarOf, SourceOf, TypedArrayOf } from "../../common/dtype/dtype.js"
import type { Access } from "../../common/struct/layout.js"
import type { DeviceArray } from "../device/array/device-array.js"
import type { PinnedArray } from "../device/array/pinned-array.js"

export type { Access } from "../../common/struct/layout.js"

/** A pointer to the elements of an array, such as `"in float32*"`. */
export type Pointer = `${Access} ${DType}*`

/**
 * Bytes that a kernel takes by value, for types that no other parameter describes: a union, bit fields, a tensor map. The
 * argument is a `Uint8Array` of exactly this length.
 */
export interface OpaqueBytes {
  /** The size in bytes, as in `sizeof`. */
  readonly bytes: number
  /** The alignment in bytes, as in `alignof`: a power of two up to 256. `bytes` must be a multiple of it. Default: 1. */
  readonly align?: number | undefined
}

/**
 * A field of a struct: a scalar's dtype, a pointer as in `"in float32*"`, another struct, bytes, or an array of any of
 * these with its length: `["float32", 4]`.
 */
export type Field = DType | Pointer | StructParameter | OpaqueBytes | readonly [element: Field, length: number]

/** The fields of a struct, in order. Their names must be C identifiers. */
export interface Fields {
  readonly [name: string]: Field
}

/**
 * A struct that a kernel takes by value, laid out as in C.
 *
 * @example
 * // struct Params { int n; float scale; const float* table; float lut[4]; };
 * const params = { struct: { n: "int32", scale: "float32", table: "in float32*", lut: ["float32", 4] } } as const
 */
export interface StructParameter<F extends Fields = Fields> {
  /** The fields, in order. */
  readonly struct: F
  /** The alignment of `alignas` or `__align__` in bytes: a power of two up to 256. `float4` has 16. Default: as in C. */
  readonly align?: number | undefined
}

/** A kernel's parameter: a scalar's dtype, an array's access and dtype as in `"in float32*"`, a struct, or bytes. */
export type Parameter = DType | Pointer | StructParameter | OpaqueBytes

/** The dtypes of the arrays that parameters take. */
type ArrayDType<P> = P extends `${Access} ${infer D extends DType}*` ? D : never

/**
 * The type of an argument of `launch`, for a parameter or a field. If the signature is not known, any array and any number.
 */
export type Argument<P extends Field> =
  | ([ArrayDType<P>] extends [never] ? never : DeviceArray<ArrayDType<P>> | PinnedArray<ArrayDType<P>>)
  | (P extends DType ? ScalarOf<P> : never)
  | (P extends { readonly struct: infer F extends Fields } ? { readonly [K in keyof F]: Argument<F[K]> } : never)
  | (P extends OpaqueBytes ? Uint8Array : never)
  | (P extends readonly [infer E extends Field, number] ? Elements<E> : never)

/** The type of an argument for an array inside a struct. */
type Elements<E extends Field> = readonly Argument<E>[] | (E extends DType ? SourceOf<E> : never)

/** The arguments of `launch` for a signature. Labels of the signature become the names of the arguments. */
export type Arguments<S extends readonly Parameter[]> = { -readonly [I in keyof S]: Argument<S[I]> }

/**
 * A signature whose parameters are labelled with their types, as in `[int32: "int32", inArray: "in float32*"]`. Editors
 * show the labels as the names of the arguments of `launch`, instead of `args_0`.
 */
export type Labelled<S extends readonly Parameter[]> = number extends S["length"] ? S : LabelledTuple<S>

type LabelledTuple<
  S extends readonly Parameter[],
  Done extends readonly Parameter[] = readonly [],
> = S extends readonly [infer P extends Parameter, ...infer Others extends readonly Parameter[]]
  ? LabelledTuple<Others, readonly [...Done, ...LabelledParameter<P>]>
  : Done

/** One parameter as a tuple with its label. TypeScript has no computed labels. */
type LabelledParameter<P extends Parameter> = P extends DType
  ? LabelledScalars[P]
  : P extends `in ${string}`
    ? [inArray: P]
    : P extends `out ${string}`
      ? [outArray: P]
      : P extends `inout ${string}`
        ? [inoutArray: P]
        : P extends StructParameter
          ? [struct: P]
          : [bytes: P]

interface LabelledScalars {
  float16: [float16: "float16"]
  bfloat16: [bfloat16: "bfloat16"]
  float32: [float32: "float32"]
  float64: [float64: "float64"]
  float8_e4m3fn: [float8_e4m3fn: "float8_e4m3fn"]
  int8: [int8: "int8"]
  uint8: [uint8: "uint8"]
  int16: [int16: "int16"]
  uint16: [uint16: "uint16"]
  int32: [int32: "int32"]
  uint32: [uint32: "uint32"]
  int64: [int64: "int64"]
  uint64: [uint64: "uint64"]
}

/** A global array of a module's code: its dtype and its length. `"constant"` if kernels only read it. */
export type GlobalDefinition = readonly [dtype: DType, length: number, access?: "constant" | undefined]

/** The global arrays of a module's code, by their names in C++. */
export interface Globals {
  readonly [name: string]: GlobalDefinition
}

/** The first argument of a host kernel: the shape of its launch. */
export interface HostLaunch<G extends Globals = Globals> {
  /** The number of blocks. */
  readonly grid: readonly [x: number, y: number, z: number]
  /** The number of threads in a block. */
  readonly block: readonly [x: number, y: number, z: number]
  /** The bytes of dynamic shared memory of the launch. A host kernel uses its own local variables instead. */
  readonly sharedMemory: number
  /** The module's global arrays, over the device's memory. */
  readonly globals: { readonly [N in Extract<keyof G, string>]: TypedArrayOf<G[N][0]> }
}

/** The type of an argument of a host kernel, for a parameter or a field. Each launch gets its own object for a struct. */
export type HostArgument<P extends Field> = P extends `${Access} ${infer D extends DType}*`
  ? TypedArrayOf<D>
  : P extends "int64" | "uint64"
    ? bigint
    : P extends DType
      ? number
      : P extends { readonly struct: infer F extends Fields }
        ? { -readonly [K in keyof F]: HostArgument<F[K]> }
        : P extends OpaqueBytes
          ? Uint8Array
          : P extends readonly [infer E extends Field, number]
            ? E extends DType
              ? TypedArrayOf<E>
              : HostArgument<E>[]
            : never

/**
 * The type of a JavaScript kernel, for the module that exports it.
 *
 * @example
 * import type { HostKernel } from "auxstream"
 * export const scale: HostKernel<["int32", "float32", "inout float32*"]> = (launch, n, factor, x) => {
 *   for (let i = 0; i < n; i++) x[i] = (x[i] ?? 0) * factor
 * }
 */
export type HostKernel<S extends readonly Parameter[], G extends Globals = Globals> = (
  launch: HostLaunch<G>,
  ...args: { -readonly [I in keyof S]: HostArgument<S[I]> }
) => void
