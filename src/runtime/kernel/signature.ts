/** Parses signatures. */
import type { KernelParameter } from "../../driver/modules.js"
import { dtypes, isDType } from "../../common/dtype/elements.js"
import { checkNames, mustBe } from "../../common/check.js"
import { AuxstreamError } from "../../common/errors.js"
import { capitalised, show } from "../../common/show.js"
import {
  type Access,
  type AggregateLayout,
  arrayLayout,
  type Layout,
  opaqueLayout,
  type Primitive,
  parameterBytes,
  primitiveLayout,
  structLayout,
} from "../../common/struct/layout.js"

/** The largest size of all parameters on any GPU, in bytes. */
const MOST_BYTES = 32764
/** The largest alignment, in bytes. */
const MOST_ALIGN = 256
/** The deepest nesting. Without a limit, a struct that contains itself would never end. */
const MOST_NESTED = 32

/** Parses a signature. @throws AuxstreamError AUX_INVALID_ARGUMENT */
export function parseSignature(signature: unknown, kernel: string): KernelParameter[] {
  if (!Array.isArray(signature)) {
    throw mustBe(`The signature of kernel "${kernel}"`, 'an array such as ["int32", "in float32*"]', signature)
  }
  const parameters = Array.from(signature, (parameter: unknown, index) =>
    new Parser(kernel).parameter(parameter, `parameter ${index}`),
  )
  const byteLength = parameters.reduce((sum, parameter) => sum + parameterBytes(parameter), 0)
  if (byteLength > MOST_BYTES) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `The parameters of kernel "${kernel}" must have at most ${MOST_BYTES} bytes, CUDA's limit; got ${byteLength}. Pass ` +
        "large tables as arrays.",
    )
  }
  return parameters
}

/** Parses one parameter. A path names a part of it, such as `parameter 2.lut`. */
class Parser {
  readonly #kernel: string
  #depth = 0

  constructor(kernel: string) {
    this.#kernel = kernel
  }

  parameter(value: unknown, path: string): KernelParameter {
    return this.#aggregate(value, path) ?? this.#primitive(value, path, "a struct, or bytes")
  }

  #field(value: unknown, path: string): Layout {
    return (
      this.#array(value, path) ??
      this.#aggregate(value, path) ??
      primitiveLayout(this.#primitive(value, path, 'a struct, bytes, or an array such as ["float32", 4]'))
    )
  }

  #primitive(value: unknown, path: string, others: string): Primitive {
    const match = typeof value === "string" ? /^(?:(in|out|inout) (\w+)\*|(\w+))$/.exec(value) : null
    const dtype = match?.[2] ?? match?.[3]
    if (isDType(dtype)) return { dtype, access: accessOf(match?.[1]) }
    throw this.#invalid(
      path,
      `must be a dtype, or "in", "out" or "inout" and a dtype with an asterisk as in "in float32*", or ${others}; ` +
        `got ${show(value)}. The dtypes are ${dtypes.join(", ")}`,
    )
  }

  #aggregate(value: unknown, path: string): AggregateLayout | undefined {
    if (typeof value !== "object" || value === null) return undefined
    if ("struct" in value) return this.#struct(value, value.struct, path)
    if ("bytes" in value) return this.#opaque(value, value.bytes, path)
    return undefined
  }

  #struct(value: object, fields: unknown, path: string): AggregateLayout {
    checkNames(value, this.#of(path), structNames)
    const align = this.#align(value, path)
    const given = typeof fields === "object" && fields !== null && !Array.isArray(fields) ? Object.entries(fields) : []
    if (given.length === 0) {
      throw this.#invalid(path, `must have at least one field, as in { struct: { n: "int32" } }; got ${show(fields)}`)
    }
    const members = this.#nested(path, () =>
      given.map(([name, field]: [string, unknown]) => {
        if (!isFieldName(name)) {
          throw this.#invalid(path, `must have fields whose names are C identifiers; got ${show(name)}`)
        }
        return { name, layout: this.#field(field, `${path}.${name}`) }
      }),
    )
    const layout = structLayout(members, align)
    if (align === 1 || align === layout.align) return layout
    // C++ refuses it, and compilers that do not refuse it disagree on what it means.
    throw this.#invalid(
      path,
      `must have an \`align\` of at least ${layout.align}, the alignment of its fields; got ${align}`,
    )
  }

  #opaque(value: object, bytes: unknown, path: string): AggregateLayout {
    checkNames(value, this.#of(path), opaqueNames)
    const align = this.#align(value, path)
    if (isInteger(bytes, MOST_BYTES) && bytes % align === 0) return opaqueLayout(bytes, align)
    throw this.#invalid(
      path,
      `must have \`bytes\` that is a multiple of its alignment, ${align}, and at most ${MOST_BYTES}; got ${show(bytes)}`,
    )
  }

  #array(value: unknown, path: string): Layout | undefined {
    if (!isList(value)) return undefined
    const [element, length] = value
    if (value.length === 2 && isInteger(length, MOST_BYTES)) {
      return arrayLayout(
        this.#nested(path, () => this.#field(element, `${path}[]`)),
        length,
      )
    }
    throw this.#invalid(
      path,
      `must have an element and a length from 1 to ${MOST_BYTES}, as in ["float32", 4]; got ${show(value)}`,
    )
  }

  #align(value: object, path: string): number {
    const align: unknown = Reflect.get(value, "align") ?? 1
    if (isInteger(align, MOST_ALIGN) && (align & (align - 1)) === 0) return align
    throw this.#invalid(
      path,
      `must have an \`align\` that is a power of two from 1 to ${MOST_ALIGN}; got ${show(align)}`,
    )
  }

  #nested<T>(path: string, parse: () => T): T {
    if (this.#depth === MOST_NESTED) {
      throw this.#invalid(path, `must not be nested deeper than ${MOST_NESTED} structs and arrays`)
    }
    this.#depth++
    const parsed = parse()
    this.#depth--
    return parsed
  }

  #of(path: string): string {
    return `${capitalised(path)} of kernel "${this.#kernel}"`
  }

  #invalid(path: string, reason: string): AuxstreamError {
    return new AuxstreamError("AUX_INVALID_ARGUMENT", `${this.#of(path)} ${reason}`)
  }
}

const structNames: ReadonlySet<string> = new Set(["struct", "align"])
const opaqueNames: ReadonlySet<string> = new Set(["bytes", "align"])

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

function isInteger(value: unknown, most: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= most
}

/** Whether a field may have this name. `__proto__` would set an object's prototype. */
function isFieldName(name: string): boolean {
  return /^[A-Za-z_]\w*$/.test(name) && name !== "__proto__"
}

function accessOf(word: string | undefined): Access | undefined {
  return word === "in" || word === "out" || word === "inout" ? word : undefined
}
