import type { DType, ScalarOf, TypedArrayOf } from "../../common/dtype/dtype.js"
import type { KernelParameter } from "../../driver.js"
import type { DeviceArray } from "../device/device-array.js"
import { dtypes, isDType } from "../../common/dtype/elements.js"
import { AuxstreamError } from "../../common/errors.js"
import type { PinnedArray } from "../device/pinned-array.js"
import { show } from "../../common/show.js"

/** What a kernel does with an array. An `out` array need not be fully written. */
export type Access = "in" | "out" | "inout"

/** A kernel's parameter: a scalar's dtype, or an array's access and dtype as in `"in float32*"`. */
export type Parameter = DType | `${Access} ${DType}*`

/** The dtypes of the arrays that parameters take. */
type ArrayDType<P extends Parameter> = P extends `${Access} ${infer D extends DType}*` ? D : never

/** What `launch` takes for a parameter; of a kernel whose signature is not known, any array and any number. */
export type Argument<P extends Parameter> =
  | ([ArrayDType<P>] extends [never] ? never : DeviceArray<ArrayDType<P>> | PinnedArray<ArrayDType<P>>)
  | (P extends DType ? ScalarOf<P> : never)

/** What `launch` takes for a whole signature. */
export type Arguments<S extends readonly Parameter[]> = { -readonly [I in keyof S]: Argument<S[I]> }

/** What a host kernel is told of its launch. */
export interface HostLaunch {
  readonly grid: readonly [x: number, y: number, z: number]
  readonly block: readonly [x: number, y: number, z: number]
  /** In bytes, as it was asked for. A host kernel has its own locals. */
  readonly sharedMemory: number
}

/** What a host kernel gets for a parameter. */
export type HostArgument<P extends Parameter> = P extends `${Access} ${infer D extends DType}*`
  ? TypedArrayOf<D>
  : P extends "int64" | "uint64"
    ? bigint
    : number

/**
 * The type of a JavaScript kernel, for the module that holds it.
 *
 * @example
 * import type { HostKernel } from "auxstream"
 * export const scale: HostKernel<["int32", "float32", "inout float32*"]> = (launch, n, factor, x) => {
 *   for (let i = 0; i < n; i++) x[i] = (x[i] ?? 0) * factor
 * }
 */
export type HostKernel<S extends readonly Parameter[]> = (
  launch: HostLaunch,
  ...args: { -readonly [I in keyof S]: HostArgument<S[I]> }
) => void

/** Takes a signature apart. */
export function parseSignature(signature: unknown, kernel: string): KernelParameter[] {
  if (!Array.isArray(signature)) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `the signature of kernel ${kernel} is ${show(signature)}; it is an array such as ["int32", "in float32*"]`,
    )
  }
  return Array.from(signature, (parameter: unknown, index) => parseParameter(parameter, index, kernel))
}

function parseParameter(parameter: unknown, index: number, kernel: string): KernelParameter {
  const match = typeof parameter === "string" ? /^(?:(in|out|inout) (\w+)\*|(\w+))$/.exec(parameter) : null
  const dtype = match?.[2] ?? match?.[3]
  if (!isDType(dtype)) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `parameter ${index} of kernel ${kernel} is ${show(parameter)}; it is a dtype, or "in", "out" or "inout" and a dtype ` +
        `with an asterisk as in "in float32*"; the dtypes are ${dtypes.join(", ")}`,
    )
  }
  return { dtype, access: accessOf(match?.[1]) }
}

function accessOf(word: string | undefined): Access | undefined {
  return word === "in" || word === "out" || word === "inout" ? word : undefined
}
