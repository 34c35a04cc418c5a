import assert from "node:assert/strict"
import { checkProduct } from "../../src/blas/check.js"
import { HostKernels, multiplyOnHost } from "../../src/blas/host.js"
import { matmul, type MatmulDType, type MatmulOptions } from "../../src/blas/index.js"
import { relaxedSimd, simd } from "../../src/blas/kernels.generated.js"
import { type Device, type DeviceArray, fromFloat32, toFloat32 } from "../../src/index.js"

/** A way to queue a product: the public function, or one build of the host's kernels. */
export type Multiply = (options: MatmulOptions) => void

interface Validator {
  readonly WebAssembly: { validate(bytes: Uint8Array): boolean }
}

const { WebAssembly } = globalThis as typeof globalThis & Validator

type Ways = readonly (readonly [name: string, multiply: Multiply])[]

/** All ways on a device. */
export function waysOn(id: string): Ways {
  return id === "host" ? [["matmul", matmul], ...onHost] : [["matmul", matmul]]
}

const onHost: Ways = Object.entries({ simd, relaxedSimd })
  .filter(([, build]) => WebAssembly.validate(build()))
  .map(([name, build]) => [name, withBuild(build())] as const)

function withBuild(wasm: Uint8Array): Multiply {
  const kernels = new HostKernels(wasm)
  return (options) => multiplyOnHost(checkProduct(options), kernels)
}

/** A product to try. */
export interface Case {
  readonly dtype: MatmulDType
  readonly outDtype: MatmulDType
  readonly m: number
  readonly n: number
  readonly k: number
  readonly transposeA: boolean
  readonly transposeB: boolean
  readonly alpha: number
  readonly beta: number
  readonly count: number
  /** Elements between two matrices of the batch, and after the last. */
  readonly gap: number
  readonly seed: number
}

export const plain: Case = {
  dtype: "float32",
  outDtype: "float32",
  m: 1,
  n: 1,
  k: 1,
  transposeA: false,
  transposeB: false,
  alpha: 1,
  beta: 0,
  count: 1,
  gap: 0,
  seed: 1,
}

/** Bits that no product gives. They fill the gaps, which must not change. */
const GAP = 7.75

/** Runs a case and compares every element with float64. */
export function check(device: Device, multiply: Multiply, given: Case): void {
  const { dtype, outDtype, m, n, k, transposeA, transposeB, alpha, beta, count, gap } = given
  const random = generator(given.seed)
  const a = roundedTo(dtype, values(count * (m * k + gap), random))
  const b = roundedTo(dtype, values(count * (k * n + gap), random))
  const before = roundedTo(outDtype, outValues(given, random))
  const arrays = [upload(device, a, dtype), upload(device, b, dtype), upload(device, before, outDtype)] as const
  multiply({
    a: arrays[0],
    b: arrays[1],
    out: arrays[2],
    m,
    n,
    k,
    transposeA,
    transposeB,
    alpha,
    beta,
    batch: { count, strideA: m * k + gap, strideB: k * n + gap, strideOut: m * n + gap },
  })
  const after = download(arrays[2])
  for (const array of arrays) array.dispose()
  for (let i = 0; i < count; i++) compare(given, i, a, b, before, after, device.kind === "cuda")
}

/** With beta 0, the result's old elements are poisoned, because they must not be read. */
function outValues({ m, n, beta, count, gap }: Case, random: () => number): Float32Array {
  const out = values(count * (m * n + gap), random)
  return out.map((value, i) => (i % (m * n + gap) >= m * n ? GAP : beta === 0 ? NaN : value))
}

function compare(
  given: Case,
  index: number,
  a: Float32Array,
  b: Float32Array,
  before: Float32Array,
  after: Float32Array,
  byCublas: boolean,
): void {
  const { m, n, k, transposeA, transposeB, alpha, beta, gap } = given
  const aStart = index * (m * k + gap)
  const bStart = index * (k * n + gap)
  const outStart = index * (m * n + gap)
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      let sum = 0
      let magnitude = 0
      for (let step = 0; step < k; step++) {
        const left = at(a, aStart + (transposeA ? step * m + row : row * k + step))
        const right = at(b, bStart + (transposeB ? column * k + step : step * n + column))
        sum += left * right
        magnitude += Math.abs(left * right)
      }
      const place = outStart + row * n + column
      const kept = beta === 0 ? 0 : beta * at(before, place)
      const product = Math.fround(alpha) * sum
      const expected = product + kept
      // cuBLAS may round the product before it adds the old value.
      const rounded = Math.abs(expected) + (byCublas && beta !== 0 ? Math.abs(product) : 0)
      const bound = errorBound(given, Math.abs(alpha) * magnitude + Math.abs(kept), rounded)
      const error = Math.abs(at(after, place) - expected)
      if (error <= bound) continue
      assert.fail(
        `[${row}, ${column}] of product ${index} is ${at(after, place)}, not ${expected}: ${JSON.stringify(given)}`,
      )
    }
  }
  for (let i = outStart + m * n; i < outStart + m * n + gap; i++) assert.equal(at(after, i), GAP, "a gap was written")
}

/** The error bound: a sum of k products in float32 in any order, then rounding to the result's type. */
function errorBound({ k, outDtype }: Case, magnitude: number, rounded: number): number {
  const sums = (k + 4) * 2 ** -24 * magnitude
  if (outDtype === "float32") return sums + 2 ** -149
  const step = outDtype === "float16" ? 2 ** -11 : 2 ** -8
  return sums + (rounded + sums) * step + 2 ** -25
}

/** Numbers between -1 and 1. */
function values(count: number, random: () => number): Float32Array {
  return Float32Array.from({ length: count }, () => random() * 2 - 1)
}

/** A small generator (mulberry32), for repeatable failures. */
function generator(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

function roundedTo(dtype: MatmulDType, source: Float32Array): Float32Array {
  return dtype === "float32" ? source : toFloat32(fromFloat32(source, dtype), dtype)
}

/** An array on the device with numbers that its type represents exactly. */
export function upload(device: Device, source: Float32Array, dtype: MatmulDType): DeviceArray<MatmulDType> {
  return dtype === "float32" ? device.from(source) : device.from(fromFloat32(source, dtype), dtype)
}

/** The contents of an array as numbers. */
export function download(array: DeviceArray<MatmulDType>): Float32Array {
  const read = array.readSync()
  if (read instanceof Float32Array) return read
  return toFloat32(read, array.dtype === "float16" ? "float16" : "bfloat16")
}

function at(array: Float32Array, index: number): number {
  return array[index] ?? NaN
}
