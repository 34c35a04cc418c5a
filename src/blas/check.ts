/** Checks the options of products. Everything must be refused here, before anything is queued. */
import { checkInteger, mustBe, quoted } from "../common/check.js"
import { elementsOf } from "../common/dtype/elements.js"
import { isMultiplied, type ProductTypes, productTypesOf } from "../common/dtype/product-types.js"
import { AuxstreamError, DisposedError } from "../common/errors.js"
import type { ProductLayout } from "../driver/products.js"
import { currentStream } from "../runtime/device/current.js"
import { DeviceArray } from "../runtime/device/array/device-array.js"
import { Stream } from "../runtime/device/stream.js"
import { checkLayout, isNothing, spannedBy, storedAs } from "./layout.js"
import { checkProductNames } from "./names.js"
import type { MatmulActivation, MatmulOptions } from "./options.js"
import type { Product, Target } from "./product.js"

/** Checks all options and applies the defaults. `what` names them in messages. */
export function checkProduct(options: MatmulOptions, what = "options"): Product {
  if (typeof options !== "object" || options === null) {
    throw mustBe(what, "an object such as { a, b, out, m, n, k }", options)
  }
  checkProductNames(options, what)
  const { a, b, out, bias, scaleA, scaleB, activation, alpha = 1, beta = 0 } = options
  checkMatrix(a, "a")
  checkMatrix(b, "b")
  checkArray(out, "out")
  const types = checkTypes(a, b, out)
  const layout = checkLayout(options)
  checkActivation(activation)
  checkNumber(alpha, "alpha")
  checkNumber(beta, "beta")
  checkMemory(a, b, out, layout)
  if (bias !== undefined) checkBias(bias, types, layout, out)
  if (types.inputs === "float8_e4m3fn") checkFloat8(a, b, out, types, layout)
  if (scaleA !== undefined) checkScale(scaleA, "scaleA", types, layout, out)
  if (scaleB !== undefined) checkScale(scaleB, "scaleB", types, layout, out)
  return { types, layout, a, b, out, bias, scaleA, scaleB, activation, alpha, beta }
}

/** The stream to queue on. */
export function checkTarget(stream: unknown, { device }: DeviceArray): Target {
  if (stream === undefined) return { stream: currentStream(device), isNamed: false }
  if (!(stream instanceof Stream)) throw mustBe("stream", "a Stream or undefined", stream)
  if (stream.disposed) {
    throw new DisposedError(`\`stream\` (${stream.name}) was disposed of. Make another with device.createStream().`)
  }
  if (stream.device === device) return { stream, isNamed: true }
  throw new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `\`stream\` must be a stream of the arrays' device, ${device.id}; got one of ${stream.device.id}`,
  )
}

function checkArray(array: unknown, what: string): asserts array is DeviceArray {
  if (!(array instanceof DeviceArray)) throw mustBe(what, "a DeviceArray", array, "Make one with device.from()")
  array.checkUsable()
}

function checkMatrix(array: unknown, what: string): asserts array is DeviceArray {
  checkArray(array, what)
  if (isMultiplied(array.dtype)) return
  throw new AuxstreamError(
    "AUX_DTYPE_MISMATCH",
    `${quoted(what)} must be an array of float32, float16, bfloat16 or float8_e4m3fn; got one of ${array.dtype}`,
  )
}

function checkTypes(a: DeviceArray, b: DeviceArray, out: DeviceArray): ProductTypes {
  const types = a.dtype === b.dtype ? productTypesOf(a.dtype, out.dtype) : undefined
  if (types === undefined) {
    throw new AuxstreamError(
      "AUX_DTYPE_MISMATCH",
      "`a` and `b` must have the same dtype, and `out` that dtype or float32 (for float8_e4m3fn: float32, float16 or " +
        `bfloat16); got ${a.dtype}, ${b.dtype} and ${out.dtype}`,
    )
  }
  if (a.device === b.device && a.device === out.device) return types
  throw new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `\`a\`, \`b\` and \`out\` must be on one device; got ${a.device.id}, ${b.device.id} and ${out.device.id}`,
  )
}

/** Throws unless it is the name of an activation, or undefined. */
export function checkActivation(value: unknown): asserts value is MatmulActivation | undefined {
  if (value === undefined || value === "relu" || value === "gelu") return
  throw mustBe("activation", '"relu", "gelu" or undefined', value)
}

/** Throws unless it is a number. */
export function checkNumber(value: unknown, what: string): void {
  if (typeof value !== "number") throw mustBe(what, "a number", value)
}

/** Throws if an array is too short, or if `out` overlaps what the product reads. */
function checkMemory(a: DeviceArray, b: DeviceArray, out: DeviceArray, layout: ProductLayout): void {
  if (isNothing(layout)) return
  const usedA = checkLength(a, "a", layout)
  const usedB = checkLength(b, "b", layout)
  const usedOut = checkLength(out, "out", layout)
  checkApart(out, usedOut, a, usedA, "a")
  checkApart(out, usedOut, b, usedB, "b")
}

/** Returns the number of elements that the product uses, from the first to the last, gaps included. */
function checkLength(array: DeviceArray, what: "a" | "b" | "out", layout: ProductLayout): number {
  const used = spannedBy(layout, what)
  if (used <= array.length) return used
  throw new AuxstreamError(
    "AUX_LENGTH_MISMATCH",
    `${quoted(what)} must have at least ${used} elements for ${storedAs(layout, what)}; got ${array.length}`,
  )
}

function checkApart(out: DeviceArray, usedOut: number, input: DeviceArray, usedInput: number, what: string): void {
  const outEnd = out.address + usedOut * (out.byteLength / out.length)
  const inputEnd = input.address + usedInput * (input.byteLength / input.length)
  if (usedInput === 0 || out.address >= inputEnd || input.address >= outEnd) return
  throw new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `\`out\` must not share memory with \`${what}\`, which the product reads while it writes \`out\`. Use another array.`,
  )
}

/** Checks the bias and the scales. */
function checkOperand(
  array: unknown,
  what: string,
  dtype: ProductTypes["bias"],
  length: number,
  layout: ProductLayout,
  out: DeviceArray,
): asserts array is DeviceArray {
  checkArray(array, what)
  if (array.dtype !== dtype) {
    throw new AuxstreamError(
      "AUX_DTYPE_MISMATCH",
      `${quoted(what)} must be an array of ${dtype} for this product; got one of ${array.dtype}`,
    )
  }
  if (array.device !== out.device) {
    throw new AuxstreamError(
      "AUX_DEVICE_MISMATCH",
      `${quoted(what)} must be on the device of \`out\`, ${out.device.id}; got ${array.device.id}`,
    )
  }
  if (array.length < length) {
    throw new AuxstreamError(
      "AUX_LENGTH_MISMATCH",
      `${quoted(what)} must have at least ${length} elements; got ${array.length}`,
    )
  }
  if (!isNothing(layout)) checkApart(out, spannedBy(layout, "out"), array, length, what)
}

function checkBias(bias: unknown, types: ProductTypes, layout: ProductLayout, out: DeviceArray): void {
  checkOperand(bias, "bias", types.bias, layout.n, layout, out)
}

function checkScale(scale: unknown, what: string, types: ProductTypes, layout: ProductLayout, out: DeviceArray): void {
  if (types.inputs !== "float8_e4m3fn") {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `${quoted(what)} must be undefined unless the inputs are of float8_e4m3fn; got inputs of ${types.inputs}. Use \`alpha\`.`,
    )
  }
  checkOperand(scale, what, "float32", 1, layout, out)
}

/** The sizes and addresses of 8-bit products must be multiples of this, in elements or bytes. */
const FLOAT8_MULTIPLE = 16

/**
 * What cuBLASLt needs for 8-bit inputs. It is the same on the host device, so that a program that runs there runs on CUDA,
 * too.
 */
export function checkFloat8Layout(layout: ProductLayout, types: ProductTypes): void {
  if (isNothing(layout)) return
  const ofOut = FLOAT8_MULTIPLE / elementsOf(types.output).byteLength
  if (layout.transposeA || !layout.transposeB) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      "`transposeB` must be true and `transposeA` false for inputs of float8_e4m3fn: tensor cores multiply 8-bit numbers " +
        `only along rows of both matrices; got ${layout.transposeB} and ${layout.transposeA}`,
    )
  }
  checkMultiple(layout.n, "n", FLOAT8_MULTIPLE)
  checkMultiple(layout.ldOut, "ldOut", ofOut)
  checkMultiple(layout.strideOut, "batch.strideOut", ofOut)
  if (layout.k === 0) return
  checkMultiple(layout.k, "k", FLOAT8_MULTIPLE)
  checkMultiple(layout.ldA, "ldA", FLOAT8_MULTIPLE)
  checkMultiple(layout.ldB, "ldB", FLOAT8_MULTIPLE)
  checkMultiple(layout.strideA, "batch.strideA", FLOAT8_MULTIPLE)
  checkMultiple(layout.strideB, "batch.strideB", FLOAT8_MULTIPLE)
}

function checkFloat8(
  a: DeviceArray,
  b: DeviceArray,
  out: DeviceArray,
  types: ProductTypes,
  layout: ProductLayout,
): void {
  checkFloat8Layout(layout, types)
  checkAligned(a, "a")
  checkAligned(b, "b")
  checkAligned(out, "out")
  const lacks = a.device.driver.products?.lacksFloat8
  if (lacks !== undefined) throw new AuxstreamError("AUX_DEVICE_UNAVAILABLE", `${lacks}. Use float16 or bfloat16.`)
}

function checkMultiple(value: number, what: string, multiple: number): void {
  if (value % multiple === 0) return
  throw mustBe(
    what,
    `a multiple of ${multiple} for inputs of float8_e4m3fn`,
    value,
    "Pad the matrices with zeros",
    "AUX_OUT_OF_RANGE",
  )
}

function checkAligned({ address }: DeviceArray, what: string): void {
  if (address % FLOAT8_MULTIPLE === 0) return
  throw new AuxstreamError(
    "AUX_OUT_OF_RANGE",
    `${quoted(what)} must begin at a multiple of ${FLOAT8_MULTIPLE} bytes for inputs of float8_e4m3fn; got a view that ` +
      `begins ${address % FLOAT8_MULTIPLE} bytes after one`,
  )
}

/** Throws unless it is an alignment in bytes that the arrays of such products can have. */
export function checkAlignment(value: unknown, { inputs, output }: ProductTypes): asserts value is number {
  const ofElements = Math.max(elementsOf(inputs).byteLength, elementsOf(output).byteLength)
  checkInteger(value, "alignment", inputs === "float8_e4m3fn" ? FLOAT8_MULTIPLE : ofElements, 256)
  if ((value & (value - 1)) !== 0) throw mustBe("alignment", "a power of two", value, undefined, "AUX_OUT_OF_RANGE")
}
