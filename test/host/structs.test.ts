import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  defineKernel,
  type Device,
  type DType,
  openDevice,
  type StructParameter,
} from "../../src/index.js"
import { elementsOf, isDType } from "../../src/common/dtype/elements.js"
import { type Layout, NARROW_POINTER, type StructLayout, withPointers } from "../../src/common/struct/layout.js"
import { DeviceArray } from "../../src/runtime/device/array/device-array.js"
import { readScalar } from "../../src/common/struct/scalars.js"
import { bytesOf } from "../../src/common/typed-array.js"
import { parseSignature } from "../../src/runtime/kernel/signature.js"
import { numbersFrom } from "../support/random.js"
import { bytesIn, isSmallFloat, type Leaf, leavesOf, partOf, randomStruct, randomValue } from "../support/structs.js"
import { get, I32, wasmModule } from "./wasm.js"

const SEED = 20261202
const COUNT = 200
const shape = { grid: 1, block: 1 }
const still = new Int32Array(new SharedArrayBuffer(4))

/** A kernel writes each leaf of a struct to a place of its own. */
const PLACE = 64

/** Writes a value as the kernel gets it: a number as a double, a bigint as 64 bits, bytes as they are. */
const put = `
  function put(out, place, value) {
    const view = new DataView(out.buffer, out.byteOffset + ${PLACE} * place)
    if (ArrayBuffer.isView(value)) out.set(value, ${PLACE} * place)
    else if (typeof value === "bigint") view.setBigInt64(0, value, true)
    else view.setFloat64(0, value, true)
  }`

/** What a JavaScript kernel gets for a leaf; of a pointer, the first element. */
function received(leaf: Leaf, part: unknown): unknown {
  if (part instanceof DeviceArray) return Reflect.get(part.readSync(), 0)
  const bytes = bytesIn(leaf, part)
  if (!isDType(leaf.field)) return bytes
  // In a typed array, small floats are bit patterns.
  const isBits = isSmallFloat(leaf.field) && leaf.path.endsWith("]")
  const dtype = isBits ? (bytes.length === 1 ? "uint8" : "uint16") : leaf.field
  return readScalar(new DataView(bytes.buffer, bytes.byteOffset), 0, dtype)
}

/** The bytes that `put` writes for a value. */
function putBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (typeof value === "bigint") return bytesOf(BigUint64Array.of(BigInt.asUintN(64, value)))
  return bytesOf(Float64Array.of(Number(value)))
}

/** Arrays for pointers, with contents to know them by. */
class Arrays {
  readonly #made: DeviceArray[] = []

  constructor(
    private readonly device: Device,
    private readonly pick: (below: number) => number,
  ) {}

  readonly of = (dtype: DType): DeviceArray => {
    const contents = elementsOf(dtype).create(1)
    bytesOf(contents).forEach((_, index, bytes) => (bytes[index] = this.pick(100)))
    const array: DeviceArray = this.device.empty(dtype, 1)
    array.copyFrom(contents)
    this.#made.push(array)
    return array
  }

  dispose(): void {
    for (const array of this.#made) array.dispose()
  }
}

function layoutOf(struct: StructParameter): StructLayout {
  const [layout] = parseSignature([struct], "k")
  assert.ok(layout !== undefined && "kind" in layout && layout.kind === "struct")
  return layout
}

function offsetsIn(layout: Layout, offset = 0): number[] {
  if (layout.kind === "struct") return layout.fields.flatMap((field) => offsetsIn(field.layout, offset + field.offset))
  if (layout.kind !== "array") return [offset]
  const { element, length } = layout
  return Array.from({ length }, (_, index) => offsetsIn(element, offset + index * element.byteLength)).flat()
}

/** The struct's copy, byte by byte, and behind it its address. */
const wasmCopy = wasmModule({
  parameters: [I32, I32, I32],
  code: [
    ...[...get(1), ...get(0), ...get(2), 0xfc, 0x0a, 0, 0], // memory.copy
    ...[...get(1), ...get(2), 0x6a, ...get(0), 0x36, 0, 0], // i32.store at out + byteLength
  ],
})

test(`§11 ${COUNT} random structs arrive in JavaScript kernels with every value in its place`, () => {
  using device = openDevice("host", { threads: 2 })
  const pick = numbersFrom(SEED)
  for (let index = 0; index < COUNT; index++) {
    const struct = randomStruct(pick)
    const leaves = leavesOf(struct)
    const puts = leaves.map(({ path, isPointer }, place) => `put(out, ${place}, s${path}${isPointer ? "[0]" : ""})`)
    const kernel = defineKernel({
      name: "k",
      signature: ["int32", struct, "out uint8*"],
      host: {
        source: `${put}\nexport function k(launch, one, s, out) { if (one === 1) { ${puts.join("; ")} } }`,
      },
    })
    const made = new Arrays(device, pick)
    const value = randomValue(struct, pick, made.of)
    using out = device.zeros("uint8", PLACE * leaves.length)
    Reflect.apply(kernel.launch, kernel, [shape, 1, value, out])
    const bytes = out.readSync()
    for (const [place, leaf] of leaves.entries()) {
      const wanted = putBytes(received(leaf, partOf(value, leaf)))
      const given = bytes.subarray(PLACE * place, PLACE * place + wanted.length)
      assert.deepEqual([...given], [...wanted], `${leaf.path} of ${JSON.stringify(struct)}`)
    }
    made.dispose()
  }
})

test(`§11 ${COUNT} random structs are laid out in WebAssembly's memory as C does it, with pointers of 4 bytes`, () => {
  using device = openDevice("host", { threads: 2 })
  const pick = numbersFrom(SEED + 1)
  for (let index = 0; index < COUNT; index++) {
    const struct = randomStruct(pick)
    const leaves = leavesOf(struct)
    const layout = withPointers(layoutOf(struct), NARROW_POINTER)
    const kernel = defineKernel({
      name: "k",
      signature: [struct, "out uint8*", "int32"],
      host: { wasm: wasmCopy },
    })
    const made = new Arrays(device, pick)
    const value = randomValue(struct, pick, made.of)
    using out = device.zeros("uint8", layout.byteLength + 4)
    Reflect.apply(kernel.launch, kernel, [shape, value, out, layout.byteLength])
    const bytes = out.readSync()
    const offsets = offsetsIn(layout)
    for (const [place, leaf] of leaves.entries()) {
      const offset = offsets[place] ?? 0
      const part = partOf(value, leaf)
      const wanted = part instanceof DeviceArray ? bytesOf(Uint32Array.of(part.address)) : bytesIn(leaf, part)
      assert.deepEqual([...bytes.subarray(offset, offset + wanted.length)], [...wanted], leaf.path)
    }
    const address = new DataView(bytes.buffer).getUint32(layout.byteLength, true)
    assert.equal(address % layout.align, 0, `${address} for an alignment of ${layout.align}`)
    made.dispose()
  }
})

/** Sets `flags[1]`, waits until `flags[0]` is not 0, and copies the struct to `out`. */
const wasmCopyLater = wasmModule({
  parameters: [I32, I32, I32, I32],
  code: [
    ...[...get(3), 0x41, 1, 0xfe, 0x17, 2, 4], // i32.atomic.store
    ...[0x03, 0x40, ...get(3), 0xfe, 0x10, 2, 0, 0x45, 0x0d, 0, 0x0b], // loop: i32.atomic.load, until it is not 0
    ...[...get(1), ...get(0), ...get(2), 0xfc, 0x0a, 0, 0], // memory.copy
  ],
})
const later = defineKernel({
  name: "k",
  signature: [{ bytes: 4096, align: 256 }, "out uint8*", "int32", "inout int32*"],
  host: { wasm: wasmCopyLater },
})
const filled = (value: number) => new Uint8Array(4096).fill(value)

test("§11 concurrent launches of WebAssembly kernels each have a copy of their own", () => {
  using device = openDevice("host", { threads: 3 })
  const streams = Array.from({ length: 3 }, () => device.createStream())
  const outs = streams.map(() => device.zeros("uint8", 4096))
  const flags = streams.map(() => device.pinned("int32", 2))
  device.synchronize()
  for (const [index, stream] of streams.entries()) {
    const [out, flag] = [outs[index], flags[index]]
    assert.ok(out !== undefined && flag !== undefined)
    later.launch({ ...shape, stream }, filled(index + 1), out, 4096, flag)
    for (let turn = 0; turn < 60_000 && Atomics.load(flag.array, 1) === 0; turn++) Atomics.wait(still, 0, 0, 1)
    assert.equal(flag.array[1], 1, "the kernel has not begun")
  }
  for (const { array } of flags) Atomics.store(array, 0, 1)
  device.synchronize()
  for (const [index, out] of outs.entries()) assert.deepEqual(out.readSync(), filled(index + 1))
})

/** Copies the struct to `out` repeatedly, so that another launch's copy in its place would show. */
const wasmCopyOften = wasmModule({
  parameters: [I32, I32, I32, I32],
  code: [
    ...[0x03, 0x40, ...get(1), ...get(0), ...get(2), 0xfc, 0x0a, 0, 0], // loop: memory.copy
    ...[...get(3), 0x41, 1, 0x6b, 0x22, 3, 0x0d, 0, 0x0b], // until the count is 0
  ],
})
const often = defineKernel({
  name: "k",
  signature: [{ bytes: 4096, align: 256 }, "out uint8*", "int32", "int32"],
  host: { wasm: wasmCopyOften },
})

test("§11 a graph's launches of WebAssembly kernels each have a copy of their own, in every run", () => {
  using device = openDevice("host", { threads: 4 })
  const outs = Array.from({ length: 8 }, () => device.zeros("uint8", 4096))
  const streams = outs.map(() => device.createStream())
  using graph = captureGraph(() => {
    const start = device.createEvent().record()
    for (const [index, out] of outs.entries()) {
      const stream = streams[index]
      start.wait(stream)
      often.launch({ ...shape, stream }, filled(index + 1), out, 4096, 5000)
    }
    for (const stream of streams) device.createEvent().record(stream).wait()
  })
  for (let run = 0; run < 3; run++) {
    for (const out of outs) out.fill(0)
    graph.launch()
    for (const [index, out] of outs.entries()) assert.deepEqual(out.readSync(), filled(index + 1))
  }
})

test("§11 what a JavaScript kernel gets is its own: it may change it, and keep it", () => {
  using device = openDevice("host", { threads: 1 })
  const kernel = defineKernel({
    name: "k",
    signature: [
      { struct: { n: "int32", list: ["int32", 2], raw: { bytes: 2 }, inner: { struct: { m: "int32" } } } },
      "out int32*",
    ],
    host: {
      source: `
        const kept = []
        export function k(launch, s, out) {
          kept.push(s)
          out.set(kept.flatMap(({ n, list, raw, inner }) => [n, ...list, ...raw, inner.m]))
          s.n = s.list[0] = s.raw[0] = s.inner.m = -s.n
        }`,
    },
  })
  using out = device.zeros("int32", 12)
  for (const n of [1, 2]) {
    kernel.launch(shape, { n, list: [n, n], raw: Uint8Array.of(n, n), inner: { m: n } }, out)
  }
  assert.deepEqual([...out.readSync()], [-1, -1, 1, 255, 1, -1, 2, 2, 2, 2, 2, 2])
})

test("§11 reading a struct may run the caller's code: it may launch the same kernel, or throw", () => {
  using device = openDevice("host", { threads: 2 })
  const kernel = defineKernel({
    name: "k",
    signature: [{ struct: { a: "int32", b: "int32", out: "out int32*" } }],
    host: { source: "export function k(launch, { a, b, out }) { out[0] = 10 * a + b }" },
  })
  using outer = device.zeros("int32", 1)
  using inner = device.zeros("int32", 1)
  kernel.launch(shape, {
    a: 1,
    get b() {
      kernel.launch(shape, { a: 3, b: 4, out: inner })
      return 2
    },
    out: outer,
  })
  assert.deepEqual([outer.readSync()[0], inner.readSync()[0]], [12, 34])
  const thrown = new Error("on purpose")
  const throwing = {
    a: 5,
    get b(): number {
      throw thrown
    },
    out: outer,
  }
  assert.throws(() => kernel.launch(shape, throwing), thrown)
  kernel.launch(shape, { a: 6, b: 7, out: outer })
  assert.equal(outer.readSync()[0], 67)
})

test("§11 a struct that no command can carry is refused", () => {
  using _device = openDevice("host", { threads: 2 })
  const kernel = defineKernel({ name: "k", signature: [{ bytes: 8192 }], host: { source: "export function k() {}" } })
  assert.throws(() => kernel.launch(shape, new Uint8Array(8192)), {
    code: "AUX_KERNEL_INVALID",
    message: /8192 bytes.+at most 8140/,
  })
})
