import assert from "node:assert/strict"
import { test } from "node:test"
import { AuxstreamError, defineKernel, type Device, type LaunchOptions } from "../../src/index.js"
import { forEachOpenDevice, onHost, openOther } from "../support/devices.js"
import { refused, rejected } from "../support/errors.js"
import { add, affine, bodiless, combine, echo, fill, latch, once, over, shape, spin } from "../support/kernels.js"
import { isHeld, Latch } from "../support/latch.js"

/** The values of a launch's scalars inside the kernel. */
function echoed(device: Device, ...scalars: EchoScalars): (number | bigint | undefined)[] {
  using a = device.zeros("float16", 1)
  using b = device.zeros("bfloat16", 1)
  using c = device.zeros("float32", 1)
  using d = device.zeros("float64", 1)
  using e = device.zeros("int8", 1)
  using f = device.zeros("uint8", 1)
  using g = device.zeros("int16", 1)
  using h = device.zeros("uint16", 1)
  using i = device.zeros("int32", 1)
  using j = device.zeros("uint32", 1)
  using k = device.zeros("int64", 1)
  using l = device.zeros("uint64", 1)
  echo.launch(once, ...scalars, a, b, c, d, e, f, g, h, i, j, k, l)
  return [a, b, c, d, e, f, g, h, i, j, k, l].map((array) => array.readSync()[0])
}

type N = number
type B = number | bigint
type EchoScalars = [N, N, N, N, N, N, N, N, N, N, B, B]

const zeros = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0] as const

forEachOpenDevice("kernels", (open) => {
  test("§4 launch: scalars of all twelve dtypes arrive, the extremes and plain integers for bigints too", () => {
    using device = open()
    assert.deepEqual(
      echoed(
        device,
        1.5,
        -2,
        0.1,
        0.1,
        -128,
        255,
        -32768,
        65535,
        -(2 ** 31),
        2 ** 32 - 1,
        -(2n ** 63n),
        2n ** 64n - 1n,
      ),
      [
        ...[0x3e00, 0xc000, Math.fround(0.1), 0.1, -128, 255, -32768, 65535, -(2 ** 31), 2 ** 32 - 1],
        ...[-(2n ** 63n), 2n ** 64n - 1n],
      ],
    )
    assert.deepEqual(echoed(device, 65504, 3e38, -0, -0, 127, 0, 32767, 0, 2 ** 31 - 1, 0, -5, 2 ** 53 - 1), [
      ...[0x7bff, 0x7f62, -0, -0, 127, 0, 32767, 0, 2 ** 31 - 1, 0],
      ...[-5n, 2n ** 53n - 1n],
    ])
    // Next to a tie, and equal to it in float32.
    const [float16, bfloat16] = echoed(device, 1 + 2 ** -11 + 2 ** -40, 1 + 2 ** -8 + 2 ** -40, ...zeros)
    assert.deepEqual([float16, bfloat16], [0x3c01, 0x3f81])
  })

  test("§4 launch: 16-bit scalars are rounded to nearest, ties to even", () => {
    using device = open()
    const rest = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0] as const
    assert.deepEqual(echoed(device, 1 + 2 ** -11, 1 + 2 ** -8, ...rest).slice(0, 2), [0x3c00, 0x3f80])
    assert.deepEqual(echoed(device, 1 + 3 * 2 ** -11, 1 + 3 * 2 ** -8, ...rest).slice(0, 2), [0x3c02, 0x3f82])
    assert.deepEqual(echoed(device, -(2 ** -24), 2 ** -133, ...rest).slice(0, 2), [0x8001, 1])
  })

  test("§4 launch: one array may fill several parameters, views of one array too", () => {
    using device = open()
    using x = device.from(Float32Array.of(1, 2, 3, 4))
    add.launch(over(4), 4, x, x, x)
    assert.deepEqual(x.readSync(), Float32Array.of(2, 4, 6, 8))
    add.launch(over(2), 2, x.subarray(0, 2), x.subarray(2), x.subarray(0, 2))
    assert.deepEqual(x.readSync(), Float32Array.of(8, 12, 6, 8))
  })

  test("§4 launch: an out array need not be fully written", () => {
    using device = open()
    using x = device.full("float32", 4, 1)
    fill.launch(over(2), 2, 9, x)
    assert.deepEqual(x.readSync(), Float32Array.of(9, 9, 1, 1))
  })

  test("§4 launch: grid and block as numbers or up to three sizes, shared memory in bytes", () => {
    using device = open()
    using out = device.zeros("int32", 7)
    const launches: [LaunchOptions, number[]][] = [
      [{ grid: 3, block: 32 }, [3, 1, 1, 32, 1, 1, 0]],
      [{ grid: [2], block: [4] }, [2, 1, 1, 4, 1, 1, 0]],
      [{ grid: [2, 3], block: [4, 5], sharedMemory: 1024 }, [2, 3, 1, 4, 5, 1, 1024]],
      [{ grid: [2, 1, 3], block: [4, 5, 6] }, [2, 1, 3, 4, 5, 6, 0]],
      [{ grid: [1, 65535, 1], block: [1, 1, 64], sharedMemory: 49152 }, [1, 65535, 1, 1, 1, 64, 49152]],
      [{ grid: 1, block: 1024 }, [1, 1, 1, 1024, 1, 1, 0]],
    ]
    for (const [options, expected] of launches) {
      shape.launch(options, out)
      assert.deepEqual([...out.readSync()], expected)
    }
  })

  test("§4 launch: CUDA's limits hold on every device; larger launches are refused and queue nothing", () => {
    using device = open()
    using out = device.zeros("int32", 7)
    const launches: [LaunchOptions, ...string[]][] = [
      [{ grid: 1, block: 1025 }, "block", "1025", "1024"],
      [{ grid: 1, block: [32, 33] }, "block", "1056", "1024"],
      [{ grid: 1, block: [1, 1, 65] }, "block.z", "65", "64"],
      [{ grid: [1, 65536], block: 1 }, "grid.y", "65536", "65535"],
      [{ grid: 2 ** 31, block: 1 }, "grid", "2147483648", "2147483647"],
      [{ grid: 0, block: 1 }, "grid", "0"],
      [{ grid: 1, block: -1 }, "block", "-1"],
      [{ grid: 1.5, block: 1 }, "grid", "1.5"],
      [{ grid: NaN, block: 1 }, "grid", "NaN"],
      [{ grid: [1, 0], block: 1 }, "grid.y", "0"],
      [{ grid: 1, block: 1, sharedMemory: -1 }, "sharedMemory", "-1"],
      [{ grid: 1, block: 1, sharedMemory: 2 ** 30 }, "sharedMemory", "1073741824"],
    ]
    for (const [options, ...words] of launches) {
      refused(() => shape.launch(options, out), "AUX_OUT_OF_RANGE", ...words)
    }
    assert.deepEqual([...out.readSync()], [0, 0, 0, 0, 0, 0, 0])
  })

  test("§4 launch: arguments are checked against the signature before anything is queued", () => {
    using device = open()
    using other = openOther()
    using x = device.full("int32", 4, 1)
    using floats = device.zeros("float32", 4)
    using foreign = other.zeros("int32", 4)
    const gone = device.zeros("int32", 4)
    gone.dispose()
    const launch = (...args: unknown[]): unknown => Reflect.apply(affine.launch, affine, [over(4), ...args])
    const kernel = "test_affine"
    refused(() => launch(4, x, 1), "AUX_INVALID_ARGUMENT", kernel, "3", "4")
    refused(() => launch(4, x, 1, 1, 1), "AUX_INVALID_ARGUMENT", kernel, "5", "4")
    refused(() => launch(4.5, x, 1, 1), "AUX_INVALID_ARGUMENT", "Argument 0", "4.5", "int32")
    refused(() => launch(2 ** 31, x, 1, 1), "AUX_INVALID_ARGUMENT", "Argument 0", "2147483648", "int32")
    refused(() => launch(NaN, x, 1, 1), "AUX_INVALID_ARGUMENT", "Argument 0", "NaN")
    refused(() => launch("4", x, 1, 1), "AUX_INVALID_ARGUMENT", "Argument 0", "'4'")
    refused(() => launch(4n, x, 1, 1), "AUX_INVALID_ARGUMENT", "Argument 0", "4n")
    refused(() => launch(4, x, undefined, 1), "AUX_INVALID_ARGUMENT", "Argument 2", "undefined")
    refused(() => launch(4, new Int32Array(4), 1, 1), "AUX_INVALID_ARGUMENT", "Argument 1", "Int32Array")
    refused(() => launch(4, x.address, 1, 1), "AUX_INVALID_ARGUMENT", "Argument 1", String(x.address))
    refused(() => launch(4, floats, 1, 1), "AUX_DTYPE_MISMATCH", "Argument 1", "float32", "int32")
    refused(() => combine.launch(over(4), 4, x, foreign), "AUX_DEVICE_MISMATCH", "Argument 2", "cuda:99", device.id)
    refused(() => combine.launch(over(4), 4, foreign, x), "AUX_DEVICE_MISMATCH", "Argument 2", "cuda:99", device.id)
    refused(() => launch(4, gone, 1, 1), "AUX_DISPOSED", "int32 array of 4")
    const there = { ...over(4), stream: other.defaultStream }
    refused(() => affine.launch(there, 4, x, 1, 1), "AUX_DEVICE_MISMATCH", "Argument 1", "cuda:99", device.id)
    assert.deepEqual(x.readSync(), Int32Array.of(1, 1, 1, 1))
  })

  test("§4 launch: `stream` names the stream; the default is the current one", () => {
    using device = open()
    using stream = device.createStream()
    using named = new Latch(device)
    using x = device.zeros("int32", 1)
    named.hold(stream)
    affine.launch({ ...over(1), stream: device.defaultStream }, 1, x, 1, 1)
    device.defaultStream.synchronize()
    stream.run(() => affine.launch({ ...over(1), stream: device.defaultStream }, 1, x, 1, 1))
    assert.deepEqual(x.readSync(), Int32Array.of(2))
    named.open()
    stream.synchronize()
    assert.equal(named.timedOut, false)
  })

  test("§6 uses: arrays reached through pointers may be disposed of at once", () => {
    using device = open()
    using stream = device.createStream()
    using flags = device.pinned("int32", 3)
    const x = device.full("int32", 5000, 1)
    const y = device.full("int32", 5000, 1)
    const taken = new Set([x.address, y.address])
    latch.launch({ ...once, stream, uses: { reads: [x], writes: [y.subarray(1)] } }, flags, 20_000)
    x.dispose()
    y.dispose()
    const others = Array.from({ length: 10 }, () => device.full("int32", 5000, 2))
    device.defaultStream.synchronize()
    assert.ok(others.every((other) => !taken.has(other.address)))
    assert.ok(isHeld(stream))
    Atomics.store(flags.array, 0, 1)
    Atomics.notify(flags.array, 0)
    stream.synchronize()
    assert.equal(flags.array[2], 0)
    for (const other of others) other.dispose()
  })

  test("§4 kernels: without a body for the device, launch and prepare are refused, and nothing is queued", async () => {
    using device = open()
    const words = ["test_bodiless", device.kind]
    refused(() => bodiless[device.kind].launch(once, 1), "AUX_KERNEL_UNAVAILABLE", ...words)
    await rejected(() => bodiless[device.kind].prepare(device), "AUX_KERNEL_UNAVAILABLE", ...words)
    spin.launch(once, 1)
    device.synchronize()
  })

  test("§4 prepare: rejects for a broken kernel, even if it was launched before", async () => {
    using device = open()
    if (device.kind === "cuda") return // There the launch throws.
    using stream = device.createStream()
    const broken = defineKernel({
      name: "test_broken",
      signature: [],
      host: { source: "export function test_broken( {" },
    })
    stream.run(() => broken.launch(once))
    await rejected(() => broken.prepare(device), "AUX_KERNEL_INVALID", "test_broken")
  })

  test("§4 prepare: may be called repeatedly, and later launches give the right results", async () => {
    using device = open()
    const kernel = defineKernel({
      name: "test_combine",
      signature: combine.signature,
      cuda: {
        source:
          'extern "C" __global__ void test_combine(int n, const int* x, int* y) { if (n > 0) y[0] = y[0] * 3 + x[0]; }',
      },
      host: { source: "export function test_combine(launch, n, x, y) { y[0] = y[0] * 3 + x[0] }" },
    })
    await Promise.all([kernel.prepare(device), kernel.prepare(device)])
    await kernel.prepare(device)
    using x = device.full("int32", 1, 1)
    using y = device.full("int32", 1, 2)
    kernel.launch(once, 1, x, y)
    assert.deepEqual(y.readSync(), Int32Array.of(7))
  })

  test("§4 defineKernel: two kernels may have the same name", () => {
    using device = open()
    const kernels = [1, 2].map((value) =>
      defineKernel({
        name: "test_affine",
        signature: ["int32", "inout int32*", "int32", "int32"],
        cuda: {
          source: `extern "C" __global__ void test_affine(int n, int* x, int a, int b) {
            if (n > 0) x[0] = (int)((unsigned)x[0] * (unsigned)a + (unsigned)b);
          } // ${value}`,
        },
        host: {
          source: `export function test_affine(launch, n, x, a, b) { x[0] = Math.imul(x[0], a) + b } // ${value}`,
        },
      }),
    )
    using x = device.full("int32", 1, 1)
    kernels.forEach((kernel, index) => kernel.launch(once, 1, x, 2, index))
    assert.deepEqual(x.readSync(), Int32Array.of(5))
  })
})

/** A host kernel without parameters. */
function hostKernel(source: string, name = "test_source") {
  return defineKernel({ name, signature: [], host: { source } })
}

onHost("kernels", (open) => {
  test("§4 export: names an export other than the kernel's name", () => {
    using device = open()
    const kernel = defineKernel({
      name: "test_named",
      signature: ["out int32*"],
      host: { source: "export function other(launch, out) { out[0] = 42 }", export: "other" },
    })
    using x = device.zeros("int32", 1)
    kernel.launch(once, x)
    assert.deepEqual(x.readSync(), Int32Array.of(42))
  })

  for (const [what, source, words] of [
    ["a module that does not parse", "export function test_source( {", ["test_source"]],
    ["a module without the export", "export function elsewhere() {}", ["test_source", "elsewhere"]],
    ["a module that throws", "throw new Error('no module today')", ["test_source", "no module today"]],
    ["a kernel that returns a thenable", "export async function test_source() {}", ["test_source", "promise"]],
  ] as const) {
    test(`§4 host kernels: ${what} is an error with the kernel's name, and others go on`, async () => {
      using device = open()
      using stream = device.createStream()
      const kernel = hostKernel(source)
      await assert.rejects(
        async () => {
          kernel.launch({ ...once, stream })
          await stream.completed()
        },
        (error) => {
          assert.ok(error instanceof AuxstreamError)
          assert.match(error.code, /^AUX_KERNEL_(INVALID|FAILED)$/)
          for (const word of words) assert.ok(error.message.includes(word), error.message)
          return true
        },
      )
      using x = device.full("int32", 2, 4)
      affine.launch(over(2), 2, x, 2, 0)
      assert.deepEqual(x.readSync(), Int32Array.of(8, 8))
    })
  }
})
