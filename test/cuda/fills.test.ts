/** Fills of 8 bytes whose halves differ. CUDA has no fast call for them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Driver } from "../../src/driver/driver.js"
import type { StreamHandle } from "../../src/driver/handles.js"
import { Latch, mark, never, onDouble, open, read, unknown, untilGone } from "./device.js"
import { double } from "./double.js"

const element = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8])
const counts = [1, 2, 511, 512, 513, 8191, 8192, 8193, 16_384, 16_385, 100_003]

/** Fills `count` elements in the middle of others, and checks all. @returns the names of the calls that filled */
function checkFill(driver: Driver, stream: StreamHandle, count: number): string[] {
  const byteLength = 8 * (count + 2)
  const address = driver.memory.allocate(byteLength, stream, never)
  driver.memory.fill(address, Uint8Array.of(0xee), byteLength, stream)
  const calls = double.log(() => driver.memory.fill(address + 8, element, count, stream))
  const expected = new Uint8Array(byteLength).fill(0xee)
  for (let index = 1; index <= count; index++) expected.set(element, index * 8)
  assert.ok(Buffer.from(read(driver, address, byteLength, stream)).equals(expected), `${count} elements`)
  driver.memory.free(address, stream, mark)
  return calls.map(([name]) => String(name))
}

/** Fills rows in the middle of others, and checks all. @returns the calls that filled, without their arguments */
function checkRows(driver: Driver, stream: StreamHandle, bytes: Uint8Array, width: number, rows: number): string[] {
  const size = bytes.length
  const pitch = size * (width + 3)
  const byteLength = pitch * (rows + 1)
  const address = driver.memory.allocate(byteLength, stream, never)
  driver.memory.fill(address, Uint8Array.of(0xee), byteLength, stream)
  const rowsFrom = { address: address + size, pitch }
  const calls = double.log(() => driver.memory.fillRows(rowsFrom, bytes, width, rows, stream))
  const expected = new Uint8Array(byteLength).fill(0xee)
  for (let row = 0; row < rows; row++) {
    for (let index = 0; index < width; index++) expected.set(bytes, size + row * pitch + index * size)
  }
  const found = Buffer.from(read(driver, address, byteLength, stream))
  assert.ok(found.equals(expected), `${rows} rows of ${width} elements of ${size} bytes`)
  driver.memory.free(address, stream, mark)
  return calls.map(([name]) => String(name))
}

const shapes = [
  [1, 2],
  [1, 9000],
  [3, 700],
  [511, 3],
  [512, 2],
  [9000, 5],
] as const

onDouble("fills of rows", () => {
  test("are one call: of CUDA's for wide rows of 1, 2 and 4 bytes, and 8 whose halves are equal, else of a kernel", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const equal = Uint8Array.of(1, 2, 3, 4, 1, 2, 3, 4)
    for (const [width, rows] of shapes) {
      for (const [bytes, call] of [
        [element.subarray(0, 1), "cuMemsetD2D8Async"],
        [element.subarray(0, 2), "cuMemsetD2D16Async"],
        [element.subarray(0, 4), "cuMemsetD2D32Async"],
        [equal, "cuMemsetD2D32Async"],
      ] as const) {
        const isNarrow = width * bytes.length < 512
        assert.deepEqual(checkRows(driver, stream, bytes, width, rows), [isNarrow ? "cuLaunchKernelEx" : call])
      }
    }
  })

  test("are CUDA's for narrow rows, too, where the kernel is missing", () => {
    double.fail("cuLibraryLoadData", 1, unknown)
    using driver = open()
    const stream = driver.streams.create(0)
    for (const [width, rows] of shapes) {
      assert.deepEqual(checkRows(driver, stream, element.subarray(0, 4), width, rows), ["cuMemsetD2D32Async"])
    }
  })

  test("are one launch for other elements of 8 bytes; where the kernel is missing, a row and copies of it", async () => {
    {
      using driver = open()
      const stream = driver.streams.create(0)
      for (const [width, rows] of shapes) {
        assert.deepEqual(checkRows(driver, stream, element, width, rows), ["cuLaunchKernelEx"])
      }
    }
    await untilGone()
    double.fail("cuLibraryLoadData", 1, unknown)
    using driver = open()
    const stream = driver.streams.create(0)
    for (const [width, rows] of shapes) {
      const calls = checkRows(driver, stream, element, width, rows)
      const copies = calls.filter((name) => name === "cuMemcpy2DAsync_v2").length
      assert.equal(copies, Math.ceil(Math.log2(rows)))
      assert.ok(!calls.includes("cuLaunchKernelEx"))
    }
  })

  test("copies of rows are one call, with the context current while a capture may be under way", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const address = driver.memory.allocate(4096, stream, never)
    const copy = () =>
      driver.memory.copyRows({ address, pitch: 64 }, { address: address + 2048, pitch: 32 }, 16, 20, stream)
    assert.deepEqual(double.log(copy), [["cuMemcpy2DAsync_v2", address, 64, address + 2048, 32, 16, 20]])
    driver.graphs.beginCapture(stream)
    const captured = double.log(copy).map(([name]) => name)
    assert.deepEqual(captured, ["cuCtxPushCurrent_v2", "cuMemcpy2DAsync_v2", "cuCtxPopCurrent_v2"])
    driver.graphs.destroy(driver.graphs.endCapture(stream, undefined))
    driver.memory.free(address, stream, mark)
  })
})

onDouble("fills with 8 bytes", () => {
  test("are one launch of a kernel that is loaded when the device is opened, without a compiler", () => {
    let driver: (Driver & Disposable) | undefined
    const opening = double.log(() => {
      driver = open()
    })
    using opened = driver
    assert.ok(opened)
    const loaded = opening.filter(([name]) => name === "cuLibraryLoadData").length
    assert.equal(loaded, 2, "the other library is for conditionals")
    assert.ok(!opening.some(([name]) => String(name).startsWith("nvrtc")))
    const stream = opened.streams.create(0)
    for (const count of counts) assert.deepEqual(checkFill(opened, stream, count), ["cuLaunchKernelEx"])
  })

  test("are a short fill and copies of it if others may already use the context, because loading would wait for them", () => {
    using first = open()
    using latch = new Latch(first).hold(first.streams.create(0))
    let driver: (Driver & Disposable) | undefined
    const opening = double.log(() => {
      driver = open()
    })
    using second = driver
    assert.ok(second)
    assert.ok(!opening.some(([name]) => name === "cuKernelGetFunction"))
    const stream = second.streams.create(0)
    const halves = ["cuMemsetD2D32Async", "cuMemsetD2D32Async"]
    for (const count of counts) {
      const copies = Array.from({ length: Math.ceil(Math.log2(Math.max(1, count / 8192))) }, () => "cuMemcpyAsync")
      assert.deepEqual(checkFill(second, stream, count), [...halves, ...copies])
    }
    assert.equal(latch.timedOut, false)
  })

  for (const call of ["cuLibraryLoadData", "cuLibraryGetKernel", "cuKernelGetFunction", "cuFuncLoad"]) {
    test(`are right if the kernel cannot be loaded, and the device still opens: ${call}`, () => {
      double.fail(call, 1, unknown)
      using driver = open()
      assert.equal(double.failuresLeft(), 0)
      assert.equal(double.alive().libraries, 1, "the other library is for conditionals")
      const stream = driver.streams.create(0)
      for (const count of counts) assert.equal(checkFill(driver, stream, count)[0], "cuMemsetD2D32Async")
    })
  }
})
