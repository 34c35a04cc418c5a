import assert from "node:assert/strict"
import { test } from "node:test"
import { defineKernel, type Device, type DType, type Kernel } from "../../../src/index.js"
import { dtypes, elementsOf, isDType } from "../../../src/common/dtype/elements.js"
import { bytesOf } from "../../../src/common/typed-array.js"
import { matmul } from "../../../src/blas/index.js"
import { numbersFrom } from "../../support/random.js"
import { once, reverse } from "../../support/kernels.js"
import { openHost, Seen } from "./seen.js"

const types = dtypes.filter(isDType)
/** Too few values to tell a pattern from a result. */
const narrow: ReadonlySet<DType> = new Set<DType>(["int8", "uint8", "int16", "uint16", "float8_e4m3fn"])

/** Writes the elements of `source` that `mask` names. */
const masked = new Map<DType, Kernel>(types.map((dtype) => [dtype, maskedOf(dtype)]))

function maskedOf(dtype: DType): Kernel {
  return defineKernel({
    name: `masked_${dtype}`,
    signature: [`in ${dtype}*`, "in uint8*", `out ${dtype}*`],
    host: {
      source: `
        export function masked_${dtype}(launch, source, mask, out) {
          for (let i = 0; i < out.length; i++) if (mask[i] === 1) out[i] = source[i]
        }`,
    },
  })
}

/** Arrays are written as bytes, because elements may be NaNs with a payload. */
function bytesAs<D extends DType>(device: Device, dtype: D, bytes: Uint8Array) {
  const elements = elementsOf(dtype).create(bytes.length / elementsOf(dtype).byteLength)
  bytesOf(elements).set(bytes)
  return device.from(elements, dtype)
}

test("§13 of random elements, those that the kernel does not write are found, and all keep what they should, for every dtype", async () => {
  using seen = new Seen({ unwritten: true })
  using device = openHost()
  const below = numbersFrom(20261201)
  for (let round = 0; round < 120; round++) {
    const dtype = types[round % types.length] ?? "int32"
    const width = elementsOf(dtype).byteLength
    const length = 1 + below(40)
    const mask = Uint8Array.from({ length }, () => Number(below(4) !== 0 || round % 5 === 0))
    // No byte above 0x3f, so that no element is a NaN.
    const source = Uint8Array.from({ length: length * width }, () => below(64))
    const former = Uint8Array.from({ length: length * width }, () => below(256))
    const expected = source.map((byte, at) => (mask[Math.floor(at / width)] === 1 ? byte : (former[at] ?? 0)))
    using out = bytesAs(device, dtype, former)
    using from = bytesAs(device, dtype, source)
    using which = device.from(mask)
    const kernel = masked.get(dtype)
    if (kernel !== undefined) Reflect.apply(kernel.launch, kernel, [once, from, which, out])
    assert.deepEqual(bytesOf(out.readSync()), expected, dtype)
    const [first, last] = [mask.indexOf(0), mask.lastIndexOf(0)]
    const line = `masked_${dtype}(2) unwritten ${first * width}..${(last + 1) * width}`
    assert.deepEqual(await seen.on(device), first < 0 || narrow.has(dtype) ? [] : [line])
  }
})

test("§13 every pattern of 16 bits can be copied: 16-bit floats are not watched if the kernel reads NaNs with a payload", async () => {
  using seen = new Seen({ unwritten: true })
  using device = openHost()
  const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits)
  for (const dtype of ["float16", "bfloat16"] as const) {
    using x = device.from(all, dtype)
    using y = device.zeros(dtype, all.length)
    for (let round = 0; round < 3; round++) {
      reverse(x, y)
      assert.deepEqual([...y.readSync()], [...all].reverse())
    }
  }
  assert.deepEqual(await seen.on(device), [])
})

const halves = defineKernel({
  name: "halves",
  signature: ["out float32*", "out float32*"],
  host: { source: "export function halves(launch, x, y) { x.fill(1, 0, 2) }" },
})

test("§13 what the launch also reads, or writes through something else, is not watched; elements in two arguments are once", async () => {
  using seen = new Seen({ unwritten: true })
  using device = openHost()
  using x = device.zeros("float32", 4)
  halves.launch(once, x, x)
  assert.deepEqual(await seen.on(device), ["halves(0) unwritten 8..16"])
  halves.launch(once, x.subarray(0, 2), x.subarray(1))
  assert.deepEqual(await seen.on(device), ["halves(1) unwritten 4..12"])
  halves.launch({ ...once, uses: { writes: [x.subarray(2, 3)] } }, x, x)
  assert.deepEqual(await seen.on(device), ["halves(0) unwritten 12..16"])
  halves.launch({ ...once, uses: { reads: [x] } }, x, x)
  assert.deepEqual(await seen.on(device), [])
  assert.deepEqual([...x.readSync()], [1, 1, 0, 0])
})

test("§13 a kernel with `partialOutputs` is left alone, and so are products, whose rows may have gaps", async () => {
  using seen = new Seen({ unwritten: true })
  using device = openHost()
  const part = defineKernel({
    name: "part",
    signature: ["out float32*"],
    host: { source: "export function part(launch, x) { x[0] = 1 }" },
    partialOutputs: true,
  })
  using x = device.zeros("float32", 4)
  part.launch(once, x)
  using a = device.full("float32", 4, 1)
  using out = device.full("float32", 6, 9)
  matmul({ a, b: a, out, m: 2, n: 2, k: 2, ldOut: 3 })
  assert.deepEqual(await seen.on(device), [])
  assert.deepEqual([...out.readSync()], [2, 2, 9, 2, 2, 9])
})

test("a kernel that reads an `out` argument sees the pattern: what it does not really write is found", async () => {
  using seen = new Seen({ unwritten: true })
  using device = openHost()
  const same = defineKernel({
    name: "same",
    signature: ["out int32*"],
    host: { source: "export function same(launch, x) { for (let i = 0; i < x.length; i++) x[i] = x[i] }" },
  })
  using x = device.full("int32", 4, 3)
  same.launch(once, x)
  assert.deepEqual(await seen.on(device), ["same(0) unwritten 0..16"])
  assert.deepEqual([...x.readSync()], [3, 3, 3, 3])
})
