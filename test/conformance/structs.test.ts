import assert from "node:assert/strict"
import { test } from "node:test"
import {
  captureGraph,
  defineKernel,
  type Argument,
  type Device,
  type DeviceArray,
  KernelError,
} from "../../src/index.js"
import { forEachOpenDevice, onHost, openOther } from "../support/devices.js"
import { over, prepare, struct } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"
import { Observed } from "../support/observed.js"

const length = 8

type Params = Argument<(typeof struct.signature)[1]>

/** The arrays behind a struct's pointers. */
class Arrays {
  readonly table: DeviceArray<"float32">
  readonly outs: readonly [DeviceArray<"float32">, DeviceArray<"float32">]
  readonly sums: DeviceArray<"int64">

  constructor(device: Device) {
    this.table = device.from(Float32Array.from({ length }, (_, index) => index))
    this.outs = [device.zeros("float32", length), device.zeros("float32", length)]
    this.sums = device.zeros("int64", 2)
  }

  params(changes: Partial<Params> = {}): Params {
    return {
      n: length,
      scale: 10,
      table: this.table,
      lut: [1, 2, 3, 4],
      big: 2n ** 40n,
      inner: { tag: 200, outs: this.outs },
      raw: new Uint8Array(Uint32Array.of(4_000_000_000, 5, 6).buffer),
      ...changes,
    }
  }

  [Symbol.dispose](): void {
    for (const array of [this.table, ...this.outs, this.sums]) array.dispose()
  }
}

/** What the kernel makes of the table and the struct. */
function expected(scale: number, lut: readonly number[], tag: number): [Float32Array, Float32Array] {
  const first = Float32Array.from({ length }, (_, index) => scale * index + (lut[index % 4] ?? 0))
  return [first, first.map((value) => value + tag)]
}

const lut = [1, 2, 3, 4]

forEachOpenDevice("structs", (open) => {
  test("§11 every field arrives: nested structs, arrays, pointers, 64-bit integers, opaque bytes", () => {
    using device = open()
    using arrays = new Arrays(device)
    struct.launch(over(length), -1, arrays.params(), arrays.sums)
    assert.deepEqual(
      arrays.outs.map((out) => out.readSync()),
      expected(10, lut, 200),
    )
    assert.deepEqual(arrays.sums.readSync(), BigInt64Array.of(2n ** 40n - 1n, 4_000_000_011n))
  })

  test("§11 an array of scalars is a typed array or an array of numbers, pointers take pinned arrays, too", () => {
    using device = open()
    using arrays = new Arrays(device)
    using table = device.pinned("float32", length)
    table.array.fill(3)
    struct.launch(over(length), 0, arrays.params({ lut: Float32Array.of(5, 6, 7, 8), table }), arrays.sums)
    const [out] = arrays.outs
    assert.deepEqual(out.readSync(), Float32Array.of(35, 36, 37, 38, 35, 36, 37, 38))
  })

  test("§11 a launch has read the struct when it returns, and each launch has its own", async () => {
    using device = open()
    await prepare(device)
    await struct.prepare(device)
    using arrays = new Arrays(device)
    using stream = device.createStream()
    device.synchronize()
    using latch = new Latch(device).hold(stream)
    const results = Array.from({ length: 20 }, () => new Arrays(device))
    const values = Float32Array.of(0, 0, 0, 0)
    const given = { ...arrays.params(), lut: values, raw: new Uint8Array(12) }
    for (const [index, { outs, sums }] of results.entries()) {
      values.fill(index)
      const params = { ...given, scale: index, inner: { tag: index, outs } }
      struct.launch({ ...over(length), stream }, index, params, sums)
      params.scale = -1
      params.inner.tag = 7
    }
    values.fill(-1)
    given.raw.fill(1)
    assert.equal(isHeld(stream), true)
    latch.open()
    for (const [index, result] of results.entries()) {
      assert.deepEqual(
        result.outs.map((out) => stream.run(() => out.readSync())),
        expected(index, Array(4).fill(index) as number[], index),
      )
      assert.deepEqual(
        stream.run(() => result.sums.readSync()),
        BigInt64Array.of(2n ** 40n + BigInt(index), 0n),
      )
      result[Symbol.dispose]()
    }
    assert.equal(latch.timedOut, false)
  })

  test("§6 operations: a launch's accesses name the arrays behind pointers by their place in the struct", () => {
    using device = open()
    using arrays = new Arrays(device)
    const { table, sums } = arrays
    const [out0, out1] = arrays.outs
    struct.load(device)
    using observed = new Observed().name({ table, sums, out0, out1 })
    struct.launch(over(length), 0, arrays.params({ n: 4, table: table.subarray(4) }), sums)
    assert.deepEqual(observed.take(), [
      `launch test_struct on ${device.defaultStream.state.name}: 2: write sums[0..16], 1.table: read table[16..32], ` +
        "1.inner.outs[0]: write out0[0..32], 1.inner.outs[1]: write out1[0..32]",
      "accepted test_struct",
    ])
  })

  test("§4 an array behind a pointer is used after its first contents, on whatever stream they are queued", async () => {
    using device = open()
    await prepare(device)
    await struct.prepare(device)
    using arrays = new Arrays(device)
    using home = device.createStream()
    using user = device.createStream()
    device.synchronize()
    using latch = new Latch(device).hold(home)
    using table = home.run(() => device.full("float32", length, 4))
    struct.launch({ ...over(length), stream: user }, 0, arrays.params({ table }), arrays.sums)
    assert.equal(isHeld(user), true)
    latch.open()
    const [out] = arrays.outs
    assert.deepEqual(
      user.run(() => out.readSync()),
      Float32Array.of(41, 42, 43, 44, 41, 42, 43, 44),
    )
    assert.equal(latch.timedOut, false)
  })

  test("§5.6 an array behind a pointer can be disposed of at once: its memory is used again behind the launch", async () => {
    using device = open()
    await prepare(device)
    await struct.prepare(device)
    using arrays = new Arrays(device)
    using stream = device.createStream()
    device.synchronize()
    using latch = new Latch(device).hold(stream)
    const table = device.full("float32", length, 4)
    const { address } = table
    device.defaultStream.synchronize()
    struct.launch({ ...over(length), stream }, 0, arrays.params({ table }), arrays.sums)
    table.dispose()
    using other = device.full("float32", length, -1)
    assert.notEqual(other.address, address)
    latch.open()
    const [out] = arrays.outs
    assert.deepEqual(
      stream.run(() => out.readSync()),
      Float32Array.of(41, 42, 43, 44, 41, 42, 43, 44),
    )
    assert.equal(latch.timedOut, false)
  })

  test("§7 a graph keeps the struct and the arrays behind its pointers", () => {
    using device = open()
    using arrays = new Arrays(device)
    const table = device.full("float32", length, 4)
    const values = Float32Array.of(1, 2, 3, 4)
    using graph = captureGraph(() => {
      struct.launch(over(length), 0, arrays.params({ table, lut: values }), arrays.sums)
    })
    values.fill(9)
    table.dispose()
    const others = Array.from({ length: 20 }, () => device.full("float32", length, -1))
    const [out] = arrays.outs
    for (let round = 0; round < 2; round++) {
      out.fill(0)
      graph.launch()
      assert.deepEqual(out.readSync(), Float32Array.of(41, 42, 43, 44, 41, 42, 43, 44))
    }
    for (const other of others) other.dispose()
  })

  test("§7 a graph is updated to other structs in place", () => {
    using device = open()
    using arrays = new Arrays(device)
    using other = device.full("float32", length, 1)
    const capture = (changes: Partial<Params>) => () => {
      struct.launch(over(length), 0, arrays.params(changes), arrays.sums)
    }
    using graph = captureGraph(capture({}))
    const [out] = arrays.outs
    graph.launch()
    assert.deepEqual(out.readSync(), expected(10, lut, 0)[0])
    graph.update(capture({ scale: 2, table: other, lut: [0, 1, 2, 3] }))
    graph.launch()
    assert.deepEqual(out.readSync(), Float32Array.of(2, 3, 4, 5, 2, 3, 4, 5))
  })

  test("§11 setArguments of a graph's node takes structs: the graph keeps their arrays, and checks them as a launch does", () => {
    using device = open()
    using arrays = new Arrays(device)
    using graph = captureGraph(() => struct.launch(over(length), 0, arrays.params(), arrays.sums))
    const [node] = graph.nodes
    assert.ok(node?.launches(struct))
    graph.launch()
    const table = device.full("float32", length, 1)
    const values = Float32Array.of(0, 1, 2, 3)
    node.setArguments(7, arrays.params({ scale: 2, table, lut: values }), arrays.sums)
    values.fill(9)
    table.dispose()
    const others = Array.from({ length: 20 }, () => device.full("float32", length, -1))
    const [out] = arrays.outs
    for (let round = 0; round < 2; round++) {
      out.fill(0)
      graph.launch()
      assert.deepEqual(out.readSync(), Float32Array.of(2, 3, 4, 5, 2, 3, 4, 5))
      assert.equal(arrays.sums.readSync()[0], 2n ** 40n + 7n)
    }
    for (const other of others) other.dispose()
    const wrong: readonly [Partial<Params>, string][] = [
      [{ lut: [1, 2, 3] }, "Argument 1.lut"],
      [{ lut: [1, 2, 3, NaN], n: 0.5 }, "Argument 1.n"],
      [{ inner: { tag: 1, outs: [out, table] } }, "disposed"],
    ]
    for (const [changes, words] of wrong) {
      assert.throws(
        () => node.setArguments(0, arrays.params(changes), arrays.sums),
        new RegExp(words.replace(".", "\\.")),
      )
    }
    graph.launch()
    assert.deepEqual(out.readSync(), Float32Array.of(2, 3, 4, 5, 2, 3, 4, 5))
  })
})

onHost("structs", (open) => {
  test("§5.12 no garbage: an array behind a pointer that a failed kernel should have written is failed", () => {
    using device = open()
    using arrays = new Arrays(device)
    using stream = device.createStream()
    const failing = defineKernel({
      name: "failing",
      signature: struct.signature,
      host: { source: "export function failing() { throw new Error('thrown on purpose') }" },
    })
    failing.launch({ ...over(length), stream }, 0, arrays.params(), arrays.sums)
    assert.throws(() => stream.synchronize(), KernelError)
    for (const array of [...arrays.outs, arrays.sums]) assert.throws(() => array.readSync(), KernelError)
    assert.deepEqual(arrays.table.readSync(), Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7))
    assert.throws(() => struct.launch(over(length), 0, arrays.params(), arrays.sums), KernelError)
  })

  test("§4 which device: the one of an array behind a pointer", () => {
    using device = open()
    using other = openOther()
    const only = defineKernel({
      name: "only",
      signature: [{ struct: { out: "out int32*" } }],
      host: { source: "export function only(launch, { out }) { out.fill(5) }" },
    })
    using mine = device.zeros("int32", 1)
    using others = other.zeros("int32", 1)
    for (const out of [mine, others]) {
      only.launch(over(1), { out })
      assert.deepEqual(out.readSync(), Int32Array.of(5))
    }
  })
})
