/** Copies and fills of rows that are a pitch apart. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { captureGraph, type CopyShape, type Device, type DType, type TypedArrayOf } from "../../src/index.js"
import { elementsOf } from "../../src/common/dtype/elements.js"
import { forEachOpenDevice } from "../support/devices.js"
import { refused } from "../support/errors.js"
import { affine, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"

const dtypes: readonly DType[] = ["uint8", "int16", "bfloat16", "float32", "int32", "float64", "int64"]

/** An array whose elements all differ, as far as the dtype allows. */
function counted<D extends DType>(dtype: D, length: number, first = 1): TypedArrayOf<D, ArrayBuffer> {
  const elements = elementsOf(dtype).create(length)
  for (let index = 0; index < length; index++) setAt(elements, index, first + index)
  return elements
}

function setAt(elements: TypedArrayOf<DType>, index: number, value: number): void {
  const is64Bit = elements instanceof BigInt64Array || elements instanceof BigUint64Array
  Reflect.set(elements, index, is64Bit ? BigInt(value) : value)
}

/** What a copy of rows is, element by element. */
function copied<A extends TypedArrayOf<DType>>(to: A, from: TypedArrayOf<DType>, shape: CopyShape): A {
  const { width, height, pitch = width, sourcePitch = width } = shape
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      Reflect.set(to, row * pitch + column, from[row * sourcePitch + column])
    }
  }
  return to
}

const shapes = fc.record({
  width: fc.integer({ min: 0, max: 9 }),
  height: fc.integer({ min: 0, max: 9 }),
  gap: fc.integer({ min: 0, max: 5 }),
  sourceGap: fc.integer({ min: 0, max: 5 }),
})

function shapeOf({ width, height, gap, sourceGap }: Record<"width" | "height" | "gap" | "sourceGap", number>) {
  return { width, height, pitch: width + gap, sourcePitch: width + sourceGap }
}

function lengthFor({ width, height }: CopyShape, pitch: number): number {
  return Math.max(1, height * pitch + width)
}

/** Copies from each kind of source, and compares all of the destination, its gaps included. */
function checkCopy(device: Device, dtype: DType, shape: CopyShape & { pitch: number; sourcePitch: number }): void {
  const elements = counted(dtype, lengthFor(shape, shape.sourcePitch))
  const before = counted(dtype, lengthFor(shape, shape.pitch), 100)
  const expected = copied(before.slice(), elements, shape)
  using source = device.from(elements, dtype)
  using pinned = device.pinned(dtype, elements.length)
  Reflect.apply(pinned.array.set, pinned.array, [elements])
  for (const one of [source, pinned, elements]) {
    using x = device.from(before, dtype)
    assert.equal(x.copyFrom2D(one, shape), x)
    assert.deepEqual(x.readSync(), expected)
  }
  using back = device.pinned(dtype, before.length)
  Reflect.apply(back.array.set, back.array, [before])
  assert.equal(back.copyFrom2D(source, shape), back)
  device.synchronize()
  assert.deepEqual(back.array.slice(), expected)
}

forEachOpenDevice("copies and fills of rows", (open) => {
  test("§11 copyFrom2D: from device arrays, pinned ones and typed ones, and to pinned ones, as element by element", () => {
    using device = open()
    fc.assert(
      fc.property(fc.constantFrom(...dtypes), shapes, (dtype, shape) => checkCopy(device, dtype, shapeOf(shape))),
      { numRuns: 60 },
    )
  })

  test("§11 copyFrom2D: without pitches the rows have no gaps, and a view says where they begin", () => {
    using device = open()
    using matrix = device.from(Float32Array.from({ length: 24 }, (_, index) => index))
    using column = device.zeros("float32", 6)
    column.copyFrom2D(matrix.subarray(4), { width: 2, height: 3, sourcePitch: 8 })
    assert.deepEqual(column.readSync(), Float32Array.of(4, 5, 12, 13, 20, 21))
    column.copyFrom2D(Float32Array.of(1, 2, 3, 4, 5, 6), { width: 2, height: 3 })
    assert.deepEqual(column.readSync(), Float32Array.of(1, 2, 3, 4, 5, 6))
    matrix.subarray(1).copyFrom2D(column, { width: 1, height: 3, pitch: 8, sourcePitch: 2 })
    assert.deepEqual(
      [...matrix.readSync()].filter((_, index) => index % 8 < 2),
      [0, 1, 8, 3, 16, 5],
    )
  })

  test("§11 copyFrom2D: rows of one array between each other's, but not onto each other", () => {
    using device = open()
    using x = device.from(Int32Array.from({ length: 16 }, (_, index) => index))
    x.copyFrom2D(x.subarray(2), { width: 2, height: 4, pitch: 4, sourcePitch: 4 })
    assert.deepEqual(x.readSync(), Int32Array.of(2, 3, 2, 3, 6, 7, 6, 7, 10, 11, 10, 11, 14, 15, 14, 15))
    const overlapping = { width: 3, height: 3, pitch: 4, sourcePitch: 4 }
    refused(() => x.copyFrom2D(x.subarray(2), overlapping), "AUX_INVALID_ARGUMENT", "overlap")
    refused(() => x.subarray(2).copyFrom2D(x, overlapping), "AUX_INVALID_ARGUMENT", "overlap")
    refused(() => x.copyFrom2D(x, { width: 2, height: 3, sourcePitch: 4 }), "AUX_INVALID_ARGUMENT", "overlap")
    refused(() => x.copyFrom2D(x.subarray(1), { width: 4, height: 1 }), "AUX_INVALID_ARGUMENT", "overlap")
    x.copyFrom2D(x, overlapping)
  })

  test("§11 copyFrom2D: in the order of the current stream; a typed array is the one of the call", () => {
    using device = open()
    using x = device.zeros("int32", 6)
    using y = device.from(Int32Array.of(1, 2, 3, 4))
    using latch = new Latch(device).hold()
    const elements = Int32Array.of(5, 6, 7, 8)
    x.copyFrom2D(elements, { width: 2, height: 2, pitch: 3 })
    elements.fill(0)
    affine.launch(over(4), 4, y, 10, 0)
    x.subarray(2).copyFrom2D(y, { width: 1, height: 2, pitch: 3, sourcePitch: 2 })
    affine.launch(over(4), 4, y, 10, 0)
    latch.open()
    assert.deepEqual(x.readSync(), Int32Array.of(5, 6, 10, 7, 8, 30))
    assert.equal(latch.timedOut, false)
  })

  test("§11 fill2D: every dtype, as element by element", () => {
    using device = open()
    fc.assert(
      fc.property(fc.constantFrom(...dtypes), shapes, fc.integer({ min: 0, max: 90 }), (dtype, shape, value) => {
        const { width, height, pitch } = shapeOf(shape)
        const before = counted(dtype, lengthFor({ width, height }, pitch))
        const expected = before.slice()
        using x = device.from(before, dtype)
        using one = device.full(dtype, 1, dtype.endsWith("int64") ? BigInt(value) : value)
        const [element] = one.readSync()
        for (let row = 0; row < height; row++) expected.fill(element as never, row * pitch, row * pitch + width)
        assert.equal(Reflect.apply(x.fill2D, x, [value, { width, height, pitch }]), x)
        assert.deepEqual(x.readSync(), expected)
      }),
      { numRuns: 60 },
    )
  })

  test("§11 fill2D: wide and tall rows of 8-byte elements whose halves differ", () => {
    using device = open()
    for (const [width, height, pitch] of [
      [1, 5000, 3],
      [2000, 3, 2001],
      [600, 70, 600],
      [3, 70_000, 4],
    ] as const) {
      using x = device.zeros("float64", height * pitch)
      x.fill2D(1.1, { width, height, pitch })
      const wrong = x.readSync().findIndex((value, index) => value !== (index % pitch < width ? 1.1 : 0))
      assert.equal(wrong, -1, `${height} rows of ${width}`)
    }
  })

  test("§9 copies and fills of rows are captured: a typed array as it was, a device array as it is at each launch", () => {
    using device = open()
    using x = device.zeros("float64", 12)
    using source = device.from(Float64Array.of(1, 2, 3))
    const elements = Float64Array.of(7, 8, 9)
    using graph = captureGraph(
      () => {
        x.fill2D(0.5, { width: 2, height: 3, pitch: 4 })
        x.subarray(1).copyFrom2D(source, { width: 1, height: 3, pitch: 4 })
        x.subarray(2).copyFrom2D(elements, { width: 1, height: 3, pitch: 4 })
      },
      { device },
    )
    assert.equal(graph.nodeCount, 3)
    elements.fill(0)
    graph.launch()
    assert.deepEqual(x.readSync(), Float64Array.of(0.5, 1, 7, 0, 0.5, 2, 8, 0, 0.5, 3, 9, 0))
    source.copyFrom(Float64Array.of(4, 5, 6))
    x.fill(-1)
    graph.launch()
    assert.deepEqual(x.readSync(), Float64Array.of(0.5, 4, 7, -1, 0.5, 5, 8, -1, 0.5, 6, 9, -1))
  })

  test("§9 a graph with rows is updated to other rows", () => {
    using device = open()
    using x = device.zeros("int32", 12)
    using source = device.from(Int32Array.of(1, 2, 3, 4, 5, 6))
    const capture = (shape: CopyShape, value: number) => () => {
      x.fill2D(value, { width: 3, height: 3, pitch: 4 })
      x.copyFrom2D(source, shape)
    }
    using graph = captureGraph(capture({ width: 1, height: 3, pitch: 4 }, 9), { device })
    graph.launch()
    assert.deepEqual(x.readSync(), Int32Array.of(1, 9, 9, 0, 2, 9, 9, 0, 3, 9, 9, 0))
    graph.update(capture({ width: 2, height: 3, pitch: 4 }, 8))
    graph.launch()
    assert.deepEqual(x.readSync(), Int32Array.of(1, 2, 8, 0, 3, 4, 8, 0, 5, 6, 8, 0))
  })

  test("§11 rows of arrays that are disposed of at once are still copied", () => {
    using device = open()
    using x = device.zeros("int32", 8)
    using latch = new Latch(device).hold()
    const source = device.from(Int32Array.of(1, 2, 3, 4))
    x.copyFrom2D(source, { width: 2, height: 2, pitch: 4 })
    source.dispose()
    using other = device.full("int32", 4, 9)
    latch.open()
    assert.deepEqual(x.readSync(), Int32Array.of(1, 2, 0, 0, 3, 4, 0, 0))
    assert.equal(other.length, 4)
    assert.equal(latch.timedOut, false)
  })
})
