import assert from "node:assert/strict"
import { checkProduct, checkTarget } from "../../src/blas/check.js"
import { HostKernels, multiplyOnHost } from "../../src/blas/host.js"
import { isNothing } from "../../src/blas/layout.js"
import {
  matmul,
  type MatmulActivation,
  type MatmulDType,
  type MatmulOptions,
  type MatmulOutDType,
} from "../../src/blas/index.js"
import { relaxedSimd, simd } from "../../src/blas/kernels.generated.js"
import { type Device, type DeviceArray, fromFloat32, type SourceOf, toFloat32 } from "../../src/index.js"

/** How a product is queued: by the public function, or by one build of the host's kernels. */
export type Multiply = (options: MatmulOptions) => void

interface Validator {
  readonly WebAssembly: { validate(bytes: Uint8Array): boolean }
}

const { WebAssembly } = globalThis as typeof globalThis & Validator

type Ways = readonly (readonly [name: string, multiply: Multiply])[]

/** Every way there is on a device. */
export function waysOn(id: string): Ways {
  return id === "host" ? [["matmul", matmul], ...onHost] : [["matmul", matmul]]
}

const onHost: Ways = Object.entries({ simd, relaxedSimd })
  .filter(([, build]) => WebAssembly.validate(build()))
  .map(([name, build]) => [name, withBuild(build())] as const)

function withBuild(wasm: Uint8Array): Multiply {
  const kernels = new HostKernels(wasm)
  return (options) => {
    const product = checkProduct(options)
    const target = checkTarget(options.stream, product.a)
    if (!isNothing(product.layout)) multiplyOnHost(product, target, kernels)
  }
}

/** A product to try. */
export interface Case {
  readonly dtype: MatmulDType
  readonly outDtype: MatmulOutDType
  readonly m: number
  readonly n: number
  readonly k: number
  readonly transposeA: boolean
  readonly transposeB: boolean
  readonly alpha: number
  readonly beta: number
  readonly bias: boolean
  readonly activation: MatmulActivation | undefined
  /** Whether 8-bit inputs have scales. */
  readonly scaled: boolean
  readonly count: number
  /** Elements between two matrices of the batch, and behind the last. */
  readonly gap: number
  /** Elements between two rows. */
  readonly rowGap: number
  /** Elements before the first matrix, so that the operands are views. */
  readonly offset: number
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
  bias: false,
  activation: undefined,
  scaled: false,
  count: 1,
  gap: 0,
  rowGap: 0,
  offset: 0,
  seed: 1,
}

/** Bits that no product of the cases gives: what stands in gaps must stay. */
const GAP = 7.75

/** Where the matrices of one array are, in elements. */
class Place {
  readonly rows: number
  readonly columns: number
  readonly leading: number
  readonly stride: number
  readonly length: number
  readonly #offset: number

  constructor({ count, gap, rowGap, offset }: Case, rows: number, columns: number) {
    this.rows = rows
    this.columns = columns
    this.leading = columns + rowGap
    this.stride = rows * this.leading + gap
    this.length = offset + count * this.stride
    this.#offset = offset
  }

  at(index: number, row: number, column: number): number {
    return this.#offset + index * this.stride + row * this.leading + column
  }

  /** Whether a matrix has this element, so that it is no gap. */
  holds(element: number): boolean {
    const within = (element - this.#offset) % this.stride
    return element >= this.#offset && within < this.rows * this.leading && within % this.leading < this.columns
  }
}

/** A case with its data and where everything is. */
interface Trial {
  readonly given: Case
  readonly places: { readonly a: Place; readonly b: Place; readonly out: Place }
  readonly a: Float32Array
  readonly b: Float32Array
  readonly before: Float32Array
  readonly bias: Float32Array
  readonly scales: readonly [number, number]
}

function trialOf(given: Case): Trial {
  const { dtype, outDtype, m, n, k, transposeA, transposeB, beta } = given
  const random = generator(given.seed)
  const places = {
    a: transposeA ? new Place(given, k, m) : new Place(given, m, k),
    b: transposeB ? new Place(given, n, k) : new Place(given, k, n),
    out: new Place(given, m, n),
  }
  const a = roundedTo(dtype, values(places.a.length, random))
  const b = roundedTo(dtype, values(places.b.length, random))
  // With beta 0 the result's elements are poisoned, because they must not be read.
  const before = values(places.out.length, random).map((value, i) =>
    places.out.holds(i) ? (beta === 0 ? NaN : value) : GAP,
  )
  const bias = roundedTo(biasDtypeOf(given), values(given.offset + n, random))
  return { given, places, a, b, before: roundedTo(outDtype, before), bias, scales: [0.75, -2.5] }
}

const biasDtypeOf = ({ dtype, outDtype }: Case): MatmulOutDType =>
  dtype === "float8_e4m3fn" && outDtype === "float32" ? "bfloat16" : outDtype

/** The options of a case, and what to dispose of afterwards. */
function uploaded(device: Device, trial: Trial): { options: MatmulOptions; arrays: DeviceArray[] } {
  const { given, places } = trial
  const { m, n, k, transposeA, transposeB, alpha, beta, activation, count, offset } = given
  const arrays: DeviceArray[] = []
  const view = <D extends MatmulDType>(source: Float32Array, dtype: D): DeviceArray<D> => {
    const array = upload(device, source, dtype)
    arrays.push(array)
    return array.subarray(offset)
  }
  const scales = given.scaled
    ? trial.scales.map((scale) => view(new Float32Array(offset + 1).fill(scale), "float32"))
    : []
  const options: MatmulOptions = {
    a: view(trial.a, given.dtype),
    b: view(trial.b, given.dtype),
    out: view(trial.before, given.outDtype),
    bias: given.bias ? view(trial.bias, biasDtypeOf(given)) : undefined,
    scaleA: scales[0],
    scaleB: scales[1],
    ...{ m, n, k, transposeA, transposeB, alpha, beta, activation },
    ldA: Math.max(1, places.a.leading),
    ldB: Math.max(1, places.b.leading),
    ldOut: Math.max(1, places.out.leading),
    batch: { count, strideA: places.a.stride, strideB: places.b.stride, strideOut: places.out.stride },
  }
  return { options, arrays }
}

/** Runs a case and holds every element against float64. */
export function check(device: Device, multiply: Multiply, given: Case): void {
  checkGroup(device, ([options]) => options !== undefined && multiply(options), [given])
}

/** The same for several cases in one call. */
export function checkGroup(
  device: Device,
  multiply: (group: readonly MatmulOptions[]) => void,
  cases: readonly Case[],
): void {
  const trials = cases.map(trialOf)
  const ready = trials.map((trial) => uploaded(device, trial))
  multiply(ready.map(({ options }) => options))
  trials.forEach((trial, index) => {
    const { out } = ready[index]?.options ?? assert.fail()
    compareAll(trial, download(out.base), device.kind === "cuda")
  })
  for (const { arrays } of ready) for (const array of arrays) array.dispose()
}

function compareAll(trial: Trial, after: Float32Array, byCublas: boolean): void {
  const { given, places } = trial
  for (let index = 0; index < given.count; index++) {
    for (let row = 0; row < given.m; row++) {
      for (let column = 0; column < given.n; column++) compare(trial, index, row, column, after, byCublas)
    }
  }
  for (const [i, value] of after.entries()) {
    if (places.out.holds(i) && given.m * given.n * given.count > 0) continue
    assert.ok(Object.is(value, trial.before[i]), `element ${i} of a gap was written: ${JSON.stringify(given)}`)
  }
}

function compare(
  trial: Trial,
  index: number,
  row: number,
  column: number,
  after: Float32Array,
  byCublas: boolean,
): void {
  const { given, places, before } = trial
  const { beta, activation, offset } = given
  const { sum, magnitude } = sumOf(trial, index, row, column)
  const factor = Math.fround(given.alpha) * (given.scaled ? trial.scales[0] * trial.scales[1] : 1)
  const place = places.out.at(index, row, column)
  const kept = beta === 0 ? 0 : beta * at(before, place)
  const bias = given.bias ? at(trial.bias, offset + column) : 0
  const product = factor * sum
  const finished = product + kept + bias
  const expected = activated(finished, activation)
  const rounded = Math.abs(expected) + (byCublas ? intermediate(given, product, kept, finished) : 0)
  const sums = Math.abs(factor) * magnitude
  const added = Math.abs(kept) + Math.abs(bias)
  const bound = errorBound(given, sums, added, rounded, byCublas) + geluBound(given, finished, byCublas)
  const error = Math.abs(at(after, place) - expected)
  if (error <= bound) return
  assert.fail(
    `[${row}, ${column}] of product ${index} is ${at(after, place)}, not ${expected}, wrong by ${error / bound} bounds: ` +
      JSON.stringify(given),
  )
}

function sumOf({ given, places, a, b }: Trial, index: number, row: number, column: number) {
  let sum = 0
  let magnitude = 0
  for (let step = 0; step < given.k; step++) {
    const left = at(a, given.transposeA ? places.a.at(index, step, row) : places.a.at(index, row, step))
    const right = at(b, given.transposeB ? places.b.at(index, column, step) : places.b.at(index, step, column))
    sum += left * right
    magnitude += Math.abs(left * right)
  }
  return { sum, magnitude }
}

function activated(x: number, activation: MatmulActivation | undefined): number {
  if (activation === "relu") return Math.max(0, x)
  if (activation !== "gelu") return x
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
}

/** What cuBLASLt may round to the result's type on its way: the product, what was there, their sum, and the bias added. */
function intermediate({ beta, bias, activation }: Case, product: number, kept: number, finished: number): number {
  const parts = beta === 0 ? 0 : Math.abs(product) + Math.abs(kept)
  const sum = bias || activation !== undefined ? Math.abs(product + kept) : 0
  return parts + sum + (activation === undefined ? 0 : Math.abs(finished))
}

/** Sums of k products in float32, in any order, then the rounding to the result's type of a sum of that size. */
function errorBound(
  { dtype, k, outDtype, activation }: Case,
  sums: number,
  added: number,
  rounded: number,
  byCublas: boolean,
): number {
  const slope = activation === "gelu" ? 1.13 : 1
  // Tensor cores keep some 14 bits of a sum of 8-bit products.
  const step = byCublas && dtype === "float8_e4m3fn" ? 2 ** -12 : (k + 6) * 2 ** -24
  const inexact = slope * (step * sums + 6 * 2 ** -24 * added)
  if (outDtype === "float32") return inexact + 2 ** -149
  return inexact + slope * (rounded + inexact) * (outDtype === "float16" ? 2 ** -11 : 2 ** -8) + 2 ** -25
}

/** GELU itself in float32. cuBLASLt's tanh is less exact: wrong by up to 5e-6 on an H200. */
function geluBound({ activation }: Case, x: number, byCublas: boolean): number {
  return activation === "gelu" ? Math.abs(x) * (byCublas ? 2 ** -15 : 2 ** -21) : 0
}

/** Numbers between -1 and 1. */
function values(count: number, random: () => number): Float32Array {
  return Float32Array.from({ length: count }, () => random() * 2 - 1)
}

/** A small generator (mulberry32), so that a failure can be repeated. */
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

/** An array on the device of numbers that its type holds exactly. */
export function upload<D extends MatmulDType>(device: Device, source: Float32Array, dtype: D): DeviceArray<D> {
  const elements = dtype === "float32" ? source : fromFloat32(source, dtype)
  return device.from(elements as SourceOf<D>, dtype)
}

/** The contents of an array, as numbers. */
export function download(array: DeviceArray): Float32Array {
  const read = array.readSync()
  if (read instanceof Float32Array) return read
  return toFloat32(read as Uint16Array, array.dtype as "float16")
}

function at(array: Float32Array, index: number): number {
  return array[index] ?? NaN
}
