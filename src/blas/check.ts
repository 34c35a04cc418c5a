import { checkBoolean, checkInteger, checkNames, checkOptions, mustBe, quoted } from "../common/check.js"
import { DeviceArray } from "../runtime/device/device-array.js"
import { AuxstreamError, DisposedError } from "../common/errors.js"
import { currentStream } from "../runtime/device/current.js"
import { Stream } from "../runtime/device/stream.js"
import type { MatmulBatch, MatmulOptions } from "./options.js"
import type { Product, ProductArray, ProductTypes } from "./product.js"

const LARGEST = 2 ** 31 - 1

const matmulNames: ReadonlySet<string> = new Set([
  ...(["a", "b", "out", "m", "n", "k"] satisfies (keyof MatmulOptions)[]),
  ...(["transposeA", "transposeB", "alpha", "beta", "batch", "stream"] satisfies (keyof MatmulOptions)[]),
])
const batchNames: ReadonlySet<string> = new Set([
  ...(["count", "strideA", "strideB", "strideOut"] satisfies (keyof MatmulBatch)[]),
])

const combinations: Readonly<Record<string, ProductTypes | undefined>> = {
  float32_float32: "float32_float32",
  float16_float16: "float16_float16",
  float16_float32: "float16_float32",
  bfloat16_bfloat16: "bfloat16_bfloat16",
  bfloat16_float32: "bfloat16_float32",
}

/** Checks all options and applies the defaults. */
export function checkProduct(options: MatmulOptions): Product {
  if (typeof options !== "object" || options === null) {
    throw mustBe("options", "an object such as { a, b, out, m, n, k }", options)
  }
  checkNames(options, "options", matmulNames)
  const { a, b, out, m, n, k, transposeA = false, transposeB = false, alpha = 1, beta = 0 } = options
  checkArray(a, "a")
  checkArray(b, "b")
  checkArray(out, "out")
  const types = checkTypes(a, b, out)
  checkDevices(a, b, out)
  checkInteger(m, "m", 0, LARGEST)
  checkInteger(n, "n", 0, LARGEST)
  checkInteger(k, "k", 0, LARGEST)
  checkBoolean(transposeA, "transposeA")
  checkBoolean(transposeB, "transposeB")
  checkNumber(alpha, "alpha")
  checkNumber(beta, "beta")
  const batch = checkBatch(options.batch, m * n)
  const shape = { m, n, k, ...batch }
  checkMemory(a, b, out, shape)
  const stream = checkStream(options.stream, a)
  return { types, a, b, out, ...shape, transposeA, transposeB, alpha, beta, stream }
}

function checkArray(array: unknown, what: string): asserts array is ProductArray {
  if (!(array instanceof DeviceArray)) {
    throw mustBe(what, "a DeviceArray", array, "Make one with device.from()")
  }
  array.checkUsable()
  if (array.dtype === "float32" || array.dtype === "float16" || array.dtype === "bfloat16") return
  throw new AuxstreamError(
    "AUX_DTYPE_MISMATCH",
    `${quoted(what)} must be an array of float32, float16 or bfloat16; got one of ${array.dtype}`,
  )
}

function checkTypes(a: ProductArray, b: ProductArray, out: ProductArray): ProductTypes {
  const types = a.dtype === b.dtype ? combinations[`${a.dtype}_${out.dtype}`] : undefined
  if (types !== undefined) return types
  throw new AuxstreamError(
    "AUX_DTYPE_MISMATCH",
    `\`a\` and \`b\` must have the same dtype, and \`out\` that dtype or float32; got ${a.dtype}, ${b.dtype} and ${out.dtype}`,
  )
}

function checkDevices(a: ProductArray, b: ProductArray, out: ProductArray): void {
  if (a.device === b.device && a.device === out.device) return
  throw new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `\`a\`, \`b\` and \`out\` must be on one device; got ${a.device.id}, ${b.device.id} and ${out.device.id}`,
  )
}

function checkNumber(value: unknown, what: string): void {
  if (typeof value !== "number") throw mustBe(what, "a number", value)
}

/** A single product is a batch of one. */
function checkBatch(batch: MatmulBatch | undefined, elementsOut: number): MatmulBatch {
  checkOptions(batch, "batch", batchNames)
  if (batch === undefined) return { count: 1, strideA: 0, strideB: 0, strideOut: 0 }
  const { count, strideA, strideB, strideOut } = batch
  checkInteger(count, "batch.count", 0, LARGEST)
  checkInteger(strideA, "batch.strideA", 0, Number.MAX_SAFE_INTEGER)
  checkInteger(strideB, "batch.strideB", 0, Number.MAX_SAFE_INTEGER)
  checkInteger(strideOut, "batch.strideOut", 0, Number.MAX_SAFE_INTEGER)
  if (count < 2) return { count, strideA: 0, strideB: 0, strideOut: 0 }
  if (strideOut < elementsOut) {
    throw new AuxstreamError(
      "AUX_OUT_OF_RANGE",
      `\`batch.strideOut\` must be at least m · n = ${elementsOut}, or results would overlap; got ${strideOut}`,
    )
  }
  return { count, strideA, strideB, strideOut }
}

interface Shape extends MatmulBatch {
  readonly m: number
  readonly n: number
  readonly k: number
}

/** Throws if an array is too short, or if `out` overlaps what the product reads. */
function checkMemory(a: ProductArray, b: ProductArray, out: ProductArray, shape: Shape): void {
  const { m, n, k, count } = shape
  if (m === 0 || n === 0 || count === 0) return
  const usedA = checkLength(a, "a", `${m} × ${k}`, m * k, count, shape.strideA)
  const usedB = checkLength(b, "b", `${k} × ${n}`, k * n, count, shape.strideB)
  const usedOut = checkLength(out, "out", `${m} × ${n}`, m * n, count, shape.strideOut)
  checkApart(out, usedOut, a, usedA, "a")
  checkApart(out, usedOut, b, usedB, "b")
}

/** Returns the number of elements that the product uses, from the first to the last, gaps included. */
function checkLength(
  array: ProductArray,
  what: string,
  shape: string,
  elements: number,
  count: number,
  stride: number,
): number {
  const used = elements === 0 ? 0 : (count - 1) * stride + elements
  if (used <= array.length) return used
  const batched = count > 1 ? `${count} matrices of ${shape} with stride ${stride}` : `a matrix of ${shape}`
  throw new AuxstreamError(
    "AUX_LENGTH_MISMATCH",
    `${quoted(what)} must have at least ${used} elements for ${batched}; got ${array.length}`,
  )
}

function checkApart(out: ProductArray, usedOut: number, input: ProductArray, usedInput: number, what: string): void {
  const outEnd = out.address + usedOut * (out.byteLength / out.length)
  const inputEnd = input.address + usedInput * (input.byteLength / input.length)
  if (usedInput === 0 || out.address >= inputEnd || input.address >= outEnd) return
  throw new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `\`out\` must not share memory with \`${what}\`, which the product reads while it writes \`out\`. Use another array.`,
  )
}

function checkStream(stream: unknown, a: ProductArray): Stream {
  if (stream === undefined) return currentStream(a.device)
  if (!(stream instanceof Stream)) throw mustBe("stream", "a Stream or undefined", stream)
  if (stream.disposed) {
    throw new DisposedError(`\`stream\` (${stream.name}) was disposed of. Make another with device.createStream().`)
  }
  if (stream.device === a.device) return stream
  throw new AuxstreamError(
    "AUX_DEVICE_MISMATCH",
    `\`stream\` must be a stream of the arrays' device, ${a.device.id}; got one of ${stream.device.id}`,
  )
}
