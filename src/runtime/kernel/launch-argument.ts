/**
 * One flat parameter of a kernel, and the check of its arguments. A launch asks {@link LaunchParameter.accepts} for each
 * argument, so that must stay small enough for the engine to inline it. All texts are made elsewhere.
 */
import { mustBe } from "../../common/check.js"
import type { DType } from "../../common/dtype/dtype.js"
import { checkScalar, elementsOf } from "../../common/dtype/elements.js"
import { AuxstreamError } from "../../common/errors.js"
import { capitalised } from "../../common/show.js"
import type { FlatPrimitive } from "../../common/struct/flat.js"
import { parameterText } from "../../common/struct/text.js"
import type { AnyArray } from "../device/array/arrays.js"
import type { Device } from "../device/device.js"
import { DeviceArray } from "../device/array/device-array.js"
import { PinnedArray } from "../device/array/pinned-array.js"

/** An argument that has been checked against its parameter. */
export type CheckedArgument = number | bigint | AnyArray

export class LaunchParameter {
  readonly #dtype: DType
  readonly #isArray: boolean
  /** A number of this range is a scalar of the type. Others may be, too. */
  readonly #least: number
  readonly #most: number
  readonly #onlyIntegers: boolean
  readonly #primitive: FlatPrimitive
  readonly #kernel: string

  constructor(primitive: FlatPrimitive, kernel: string) {
    const { least, most, onlyIntegers } = elementsOf(primitive.dtype).numbers
    this.#dtype = primitive.dtype
    this.#isArray = primitive.access !== undefined
    this.#least = least
    this.#most = most
    this.#onlyIntegers = onlyIntegers
    this.#primitive = primitive
    this.#kernel = kernel
  }

  /** Throws unless the argument is valid on the device. */
  check(argument: unknown, device: Device): asserts argument is CheckedArgument {
    if (this.#isArray ? !this.#isUsable(argument, device) : !this.#isNumber(argument)) this.#refuse(argument, device)
  }

  #isUsable(argument: unknown, device: Device): boolean {
    if (!isArray(argument) || argument.dtype !== this.#dtype || argument.device !== device) return false
    return !argument.disposed
  }

  #isNumber(value: unknown): boolean {
    if (typeof value !== "number" || value < this.#least || value > this.#most) return false
    return !this.#onlyIntegers || Number.isInteger(value)
  }

  /** Throws unless the argument is valid after all: a bigint, for example. */
  #refuse(argument: unknown, device: Device): void {
    const { dtype } = this.#primitive
    if (!this.#isArray) return checkScalar(dtype, argument, this.#name)
    if (!isArray(argument)) {
      const allowed = `a DeviceArray or a PinnedArray ("${parameterText(this.#primitive)}")`
      throw mustBe(this.#name, allowed, argument, "Make one with device.from()")
    }
    argument.checkUsable(this.#role)
    throw argument.dtype === dtype ? this.#wrongDevice(argument, device) : this.#wrongDType(argument)
  }

  #wrongDevice({ device }: AnyArray, expected: Device): AuxstreamError {
    return new AuxstreamError(
      "AUX_DEVICE_MISMATCH",
      `${this.#name} must be on the device of the launch, ${expected.id}; got an array on ${device.id}`,
    )
  }

  #wrongDType({ dtype }: AnyArray): AuxstreamError {
    return new AuxstreamError(
      "AUX_DTYPE_MISMATCH",
      `${this.#name} must be an array of ${this.#dtype} ("${parameterText(this.#primitive)}"); got one of ${dtype}`,
    )
  }

  /** The argument's name at the beginning of a message. */
  get #name(): string {
    return capitalised(this.#role)
  }

  get #role(): string {
    return `argument ${this.#primitive.path} of kernel "${this.#kernel}"`
  }
}

export function isArray(argument: unknown): argument is AnyArray {
  return argument instanceof DeviceArray || argument instanceof PinnedArray
}
