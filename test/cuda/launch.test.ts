import assert from "node:assert/strict"
import { test } from "node:test"
import { LaunchShape } from "../../src/common/facts/launch-shape.js"
import type { Driver } from "../../src/driver/driver.js"
import type { KernelArgument, LaunchAttributes } from "../../src/driver/kernels.js"
import { bfloat16Bits, float16Bits } from "../../src/common/dtype/half.js"
import { AuxstreamError, CudaError } from "../../src/common/errors.js"
import { bytesOf, kernel, mark, never, noop, onDouble, open, read, thrownBy } from "./device.js"
import { double } from "./double.js"

const dtypes = ["float16", "bfloat16", "float32", "float64", "int8", "uint8"].concat([
  "int16",
  "uint16",
  "int32",
  "uint32",
  "int64",
  "uint64",
])
const echo = kernel("test_echo", [...dtypes, ...dtypes.map((dtype) => `out ${dtype}*`)])
const shape = kernel("test_shape", ["out int32*"])

/** The argument that the kernel got for each dtype, as hexadecimal bytes, lowest first. */
function echoed(driver: Driver, scalars: readonly (number | bigint)[]): string[] {
  const stream = driver.streams.create(0)
  const addresses = scalars.map(() => driver.memory.allocate(256, stream, never))
  for (const address of addresses) driver.memory.fill(address, new Uint8Array(1), 8, stream)
  const arrays = addresses.map((address) => ({ address, length: 1 }))
  driver.kernels.launch(stream, driver.kernels.load(echo), LaunchShape.of(), [...scalars, ...arrays], undefined)
  const texts = addresses.map((address) => Buffer.from(read(driver, address, 8, stream)).toString("hex"))
  for (const address of addresses) driver.memory.free(address, stream, mark)
  return texts
}

/** Eight bytes, padded with zeros. */
function bytes(array: ArrayBufferView): string {
  return Buffer.from(bytesOf(array)).toString("hex").padEnd(16, "0")
}

onDouble("a launch", () => {
  test("passes a scalar of every type as the kernel expects it", () => {
    using driver = open()
    const cases: (number | bigint)[][] = [
      [1, 1, 1.5, Math.PI, -1, 255, -2, 65535, -3, 4294967295, -4n, 2n ** 64n - 1n],
      [-0.5, -2, -0, -1e300, 127, 0, 32767, 1, 2147483647, 2147483648, 2n ** 63n - 1n, 5n],
      // Numbers for 64-bit integers, up to where they are exact.
      [0, 0, 0, 0, -128, 1, -32768, 2, -2147483648, 3, -(2 ** 53) + 1, 2 ** 53 - 1],
    ]
    for (const scalars of cases) {
      const [half, bhalf, f32, f64, i8, u8, i16, u16, i32, u32, i64, u64] = scalars.map(Number)
      assert.deepEqual(echoed(driver, scalars), [
        bytes(new Uint16Array([float16Bits(half ?? 0)])),
        bytes(new Uint16Array([bfloat16Bits(bhalf ?? 0)])),
        bytes(new Float32Array([f32 ?? 0])),
        bytes(new Float64Array([f64 ?? 0])),
        bytes(new Int8Array([i8 ?? 0])),
        bytes(new Uint8Array([u8 ?? 0])),
        bytes(new Int16Array([i16 ?? 0])),
        bytes(new Uint16Array([u16 ?? 0])),
        bytes(new Int32Array([i32 ?? 0])),
        bytes(new Uint32Array([u32 ?? 0])),
        bytes(new BigInt64Array([BigInt(scalars[10] ?? i64 ?? 0)])),
        bytes(new BigUint64Array([BigInt(scalars[11] ?? u64 ?? 0)])),
      ])
    }
  })

  test("has read its arguments when it returns", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const address = driver.memory.allocate(1024, stream, never)
    const affine = kernel("test_affine", ["int32", "inout int32*", "int32", "int32"])
    const handle = driver.kernels.load(affine)
    driver.memory.fill(address, new Uint8Array(4), 1, stream)
    const args: KernelArgument[] = [1, { address, length: 1 }, 10, 0]
    for (let i = 0; i < 5; i++) {
      args[3] = i
      driver.kernels.launch(stream, handle, LaunchShape.of(), args, undefined)
      args.fill(0, 2)
      args[2] = 10
    }
    assert.equal(new Int32Array(read(driver, address, 4, stream).buffer)[0], 1234)
    driver.memory.free(address, stream, mark)
  })

  test("passes its grid, block and shared memory, and allows more shared memory than the default", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const pinned = driver.memory.allocatePinned(28)
    const values = new Int32Array(pinned.buffer, pinned.byteOffset, 7)
    const handle = driver.kernels.load(shape)
    const args = [{ address: pinned.address, length: 7 }]
    const leaveAskedFor = double.count("cuFuncSetAttribute")
    for (const sharedMemory of [0, 49152, 49153, 100_000, 60_000]) {
      driver.kernels.launch(
        stream,
        handle,
        LaunchShape.of({ gridX: 1, gridY: 2, gridZ: 3, blockX: 4, blockY: 5, blockZ: 6, sharedMemory }),
        args,
        undefined,
      )
      driver.streams.synchronize(stream)
      assert.deepEqual([...values], [1, 2, 3, 4, 5, 6, sharedMemory])
    }
    assert.equal(double.count("cuFuncSetAttribute") - leaveAskedFor, 2)
    driver.memory.freePinned(pinned.address)
  })

  test("allows more if the kernel's static and the launch's dynamic shared memory exceed 48 KiB together", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const pinned = driver.memory.allocatePinned(28)
    const values = new Int32Array(pinned.buffer, pinned.byteOffset, 7)
    const handle = driver.kernels.load(kernel("test_static_shared", ["out int32*"])) // 8 KiB of static shared memory
    const args = [{ address: pinned.address, length: 7 }]
    const go = (bytes: number): void => {
      driver.kernels.launch(stream, handle, LaunchShape.of({ sharedMemory: bytes }), args, undefined)
      driver.streams.synchronize(stream)
      assert.equal(values[6], bytes)
    }
    const most = driver.limits.sharedMemory - 8192
    const before = double.count("cuFuncSetAttribute")
    for (const bytes of [0, 40_960]) go(bytes)
    assert.equal(double.count("cuFuncSetAttribute"), before)
    for (const bytes of [40_961, 44 * 1024, 48 * 1024, 60 * 1024, 44 * 1024, most]) go(bytes)
    const error = thrownBy(() => go(most + 1))
    assert.ok(error instanceof AuxstreamError && error.code === "AUX_OUT_OF_RANGE")
    assert.match(error.message, /"test_static_shared" must be at most 224256 bytes; got 224257.+ 8192 bytes itself/)
    driver.memory.freePinned(pinned.address)
  })

  test("is cooperative or in clusters on request", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const handle = driver.kernels.load(noop)
    const go = (attributes: LaunchAttributes): void =>
      void driver.kernels.launch(stream, handle, LaunchShape.of({ gridX: 16, blockX: 32 }), [], attributes)
    const [cooperative, clusterDimension] = [2, 4]
    go({ cooperative: true, cluster: undefined })
    assert.deepEqual(
      double.launchAttributes().map(([id, x]) => [id, x]),
      [[cooperative, 1]],
    )
    go({ cooperative: false, cluster: [2, 1, 1] })
    assert.deepEqual(double.launchAttributes(), [[clusterDimension, 2, 1, 1]])
    const before = double.count("cuFuncSetAttribute")
    go({ cooperative: true, cluster: [4, 2, 2] })
    go({ cooperative: true, cluster: [16, 1, 1] })
    assert.equal(double.count("cuFuncSetAttribute") - before, 1)
    assert.deepEqual(
      double.launchAttributes().map(([id]) => id),
      [cooperative, clusterDimension],
    )
    // Neither, as with a signal only: an ordinary launch.
    const calls = double.log(() => go({ cooperative: false, cluster: undefined, droppable: true }))
    assert.deepEqual(
      calls.map(([call]) => call),
      ["cuLaunchKernelEx"],
    )
  })

  test("takes kernels with more parameters than most have", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const many = kernel(
      "test_noop",
      Array.from({ length: 300 }, () => "int64"),
    )
    const handle = driver.kernels.load(many)
    driver.kernels.launch(
      stream,
      handle,
      LaunchShape.of(),
      Array.from({ length: 300 }, (_, i) => i),
      undefined,
    )
    driver.streams.synchronize(stream)
  })

  test("that the driver refuses throws the driver's error name and queues nothing", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const handle = driver.kernels.load(noop)
    const error = thrownBy(() => driver.kernels.launch(stream, handle, LaunchShape.of({ blockX: 2000 }), [], undefined))
    assert.ok(error instanceof CudaError)
    assert.deepEqual([error.call, error.status], ["cuLaunchKernelEx", "CUDA_ERROR_INVALID_VALUE"])
    assert.equal(driver.streams.query(stream), true)
  })
})
