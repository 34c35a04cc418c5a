import assert from "node:assert/strict"
import { test } from "node:test"
import { type DeviceArray, type DType, fromFloat32, toFloat32, type TypedArray } from "../../src/index.js"
import { forEachOpenDevice } from "../support/devices.js"
import { affine, over, reverse } from "../support/kernels.js"

/** Values at the borders of each dtype, as the typed array that holds them. */
const samples: { readonly [D in DType]: TypedArray } = {
  float16: fromFloat32([0, -0, 1, -1.5, 65504, 2 ** -24, Infinity, -Infinity], "float16"),
  bfloat16: fromFloat32([0, -0, 1, -1.5, 3e38, 2 ** -133, Infinity, -Infinity], "bfloat16"),
  float32: Float32Array.of(0, -0, 1.1, -1.5, 3.4e38, 2 ** -149, Infinity, -Infinity),
  float64: Float64Array.of(0, -0, 1.1, -1.5, 1.7e308, 2 ** -1074, Infinity, -Infinity),
  float8_e4m3fn: fromFloat32([0, -0, 1, -1.5, 448, -(2 ** -9), NaN], "float8_e4m3fn"),
  int8: Int8Array.of(0, 1, -1, 127, -128),
  uint8: Uint8Array.of(0, 1, 127, 128, 255),
  int16: Int16Array.of(0, 1, -1, 32767, -32768),
  uint16: Uint16Array.of(0, 1, 32767, 32768, 65535),
  int32: Int32Array.of(0, 1, -1, 2 ** 31 - 1, -(2 ** 31)),
  uint32: Uint32Array.of(0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1),
  int64: BigInt64Array.of(0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n)),
  uint64: BigUint64Array.of(0n, 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n),
}
const dtypes = Object.keys(samples).filter((name): name is DType => name in samples)

/** Arguments of `full` and `fill`, and the elements that they give. */
const fills: { readonly [D in DType]: { value: number | bigint; element: number | bigint } } = {
  float16: { value: 1.0009765625, element: 0x3c01 },
  bfloat16: { value: -2.5, element: 0xc020 },
  float32: { value: 0.1, element: Math.fround(0.1) },
  float64: { value: 0.1, element: 0.1 },
  float8_e4m3fn: { value: -2.25, element: 0xc1 },
  int8: { value: -7, element: -7 },
  uint8: { value: 250, element: 250 },
  int16: { value: -30_000, element: -30_000 },
  uint16: { value: 60_000, element: 60_000 },
  int32: { value: -2_000_000_000, element: -2_000_000_000 },
  uint32: { value: 4_000_000_000, element: 4_000_000_000 },
  int64: { value: -(2n ** 62n) - 3n, element: -(2n ** 62n) - 3n },
  uint64: { value: 2n ** 63n + 5n, element: 2n ** 63n + 5n },
}

forEachOpenDevice("arrays", (open) => {
  for (const dtype of dtypes) {
    test(`§4 ${dtype}: from, length, read, readSync, views and kernels see the same elements`, async () => {
      using device = open()
      const source = samples[dtype]
      using x: DeviceArray = device.from(source, dtype)
      assert.equal(x.dtype, dtype)
      assert.equal(x.device, device)
      assert.equal(x.length, source.length)
      assert.equal(x.byteLength, source.byteLength)
      assert.equal(x.address % 256, 0)
      assert.deepEqual(await x.read(), source)
      assert.deepEqual(x.readSync(), source)
      using y: DeviceArray = device.zeros(dtype, source.length)
      reverse(x, y)
      assert.deepEqual(y.readSync(), source.slice().reverse())
      assert.deepEqual(y.subarray(1, 3).readSync(), source.slice().reverse().slice(1, 3))
    })

    test(`§4 ${dtype}: zeros, full and fill`, () => {
      using device = open()
      const { value, element } = fills[dtype]
      using zeros: DeviceArray = device.zeros(dtype, 7)
      using full: DeviceArray = device.full(dtype, 7, value)
      assert.ok([...zeros.readSync()].every((one) => Number(one) === 0))
      assert.deepEqual([...full.readSync()], Array(7).fill(element))
      assert.equal(zeros.fill(value), zeros)
      zeros.subarray(2, 4).fill(0)
      const [first, ...rest] = zeros.readSync()
      assert.deepEqual(
        [first, ...rest].map(String),
        [1, 1, 0, 0, 1, 1, 1].map((one) => String(one === 1 ? element : 0)),
      )
    })

    test(`§4 ${dtype}: length 0 is allowed everywhere`, async () => {
      using device = open()
      const used = device.memory.used
      using empty: DeviceArray = device.empty(dtype, 0)
      using zeros: DeviceArray = device.zeros(dtype, 0)
      using from: DeviceArray = device.from(samples[dtype].slice(0, 0), dtype)
      using pinned = device.pinned<DType>(dtype, 0)
      assert.equal(device.memory.used, used)
      for (const array of [empty, zeros, from]) {
        assert.equal(array.length, 0)
        assert.equal(array.byteLength, 0)
        assert.equal((await array.read()).length, 0)
        assert.equal(array.readSync().length, 0)
        assert.equal(array.fill(1), array)
        assert.equal(array.copyFrom(zeros), array)
        assert.equal(array.copyFrom(samples[dtype].slice(0, 0)), array)
        assert.equal(array.copyFrom(pinned), array)
        assert.equal(array.subarray(0).length, 0)
        pinned.copyFrom(array)
        reverse(array, zeros)
      }
      assert.equal(pinned.array.length, 0)
      device.synchronize()
    })
  }

  test("§4 float16, bfloat16: full and fill round a float64 once, also where float32 would make a tie", () => {
    using device = open()
    // Each is close to the middle of two neighbours, and the nearest float32 is that middle.
    const beside: readonly (readonly ["float16" | "bfloat16", number, number])[] = [
      ["float16", 1 + 2 ** -11 + 2 ** -40, 0x3c01],
      ["float16", 1 + 3 * 2 ** -11 - 2 ** -40, 0x3c01],
      ["float16", -(2 ** -25) * (1 + 2 ** -40), 0x8001],
      ["bfloat16", 1 + 2 ** -8 + 2 ** -40, 0x3f81],
      ["bfloat16", -1 - 3 * 2 ** -8 + 2 ** -40, 0xbf81],
    ]
    for (const [dtype, value, element] of beside) {
      using x = device.full(dtype, 3, value)
      assert.deepEqual(x.readSync(), Uint16Array.of(element, element, element))
      using y = device.zeros(dtype, 3)
      assert.deepEqual(y.fill(value).readSync(), Uint16Array.of(element, element, element))
    }
  })

  test("§4 float16, bfloat16: bit patterns in a Uint16Array, widened and rounded by toFloat32 and fromFloat32", () => {
    using device = open()
    for (const dtype of ["float16", "bfloat16"] as const) {
      using x = device.from(fromFloat32([0.5, -2, 1000], dtype), dtype)
      assert.deepEqual(toFloat32(x.readSync(), dtype), Float32Array.of(0.5, -2, 1000))
    }
  })

  test("§4 from: a source that is a view of a larger buffer, shared or not, is read at its own offset", () => {
    using device = open()
    const buffers = [new ArrayBuffer(64), new SharedArrayBuffer(64)]
    for (const buffer of buffers) {
      new Int32Array(buffer).set([1, 2, 3, 4, 5, 6])
      using x = device.from(new Int32Array(buffer, 8, 3))
      assert.deepEqual(x.readSync(), Int32Array.of(3, 4, 5))
    }
    using bytes = device.from(Buffer.from("auxstream"))
    assert.equal(bytes.dtype, "uint8")
    assert.equal(Buffer.from(bytes.readSync()).toString(), "auxstream")
  })

  test("§4 from, copyFrom: a typed array has been read when the call returns", () => {
    using device = open()
    using stream = device.createStream()
    stream.run(() => {
      const source = Int32Array.of(1, 2, 3)
      using before = device.zeros("int32", 1 << 18)
      for (let step = 0; step < 20; step++) affine.launch(over(1), before.length, before, 3, 1)
      using x = device.from(source)
      source.fill(9)
      using y = device.zeros("int32", 3).copyFrom(source)
      source.fill(0)
      assert.deepEqual(x.readSync(), Int32Array.of(1, 2, 3))
      assert.deepEqual(y.readSync(), Int32Array.of(9, 9, 9))
    })
  })

  test("§4 memory: `used` counts live arrays, `peak` its maximum, `reserved` the memory taken from the system", () => {
    using device = open()
    const before = device.memory
    const arrays = Array.from({ length: 10 }, () => device.empty("float32", 100_000))
    const during = device.memory
    assert.equal(during.used, before.used + 4_000_000)
    assert.ok(during.peak >= during.used)
    assert.ok(during.reserved >= during.used)
    for (const array of arrays) array.subarray(5).dispose()
    assert.equal(device.memory.used, during.used)
    for (const array of arrays) array.dispose()
    for (const array of arrays) array.dispose()
    device.synchronize()
    assert.equal(device.memory.used, before.used)
    assert.equal(device.memory.peak, during.peak)
  })

  test("§6 allocation: two live arrays never share a byte", () => {
    using device = open()
    using stream = device.createStream()
    const arrays = Array.from({ length: 300 }, (_, index) =>
      (index % 2 === 0 ? stream : device.defaultStream).run(() =>
        device.full("uint8", 1 + ((index * 37) % 700), index % 256),
      ),
    )
    const ranges = arrays.map(({ address, byteLength }) => ({ begin: address, end: address + byteLength }))
    ranges.sort((a, b) => a.begin - b.begin)
    ranges.forEach(({ begin }, index) => assert.ok(begin >= (ranges[index - 1]?.end ?? 0)))
    device.synchronize()
    arrays.forEach((array, index) => assert.ok(array.readSync().every((byte) => byte === index % 256)))
    for (const array of arrays) array.dispose()
  })
})
