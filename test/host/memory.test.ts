import assert from "node:assert/strict"
import { test } from "node:test"
import { OutOfMemoryError } from "../../src/common/errors.js"
import { ACTIVE } from "../../src/host/control/layout.js"
import { HostDriver } from "../../src/host/driver.js"
import { kernelOf, Latch, launch, never, open, source, thrownBy } from "./device.js"
import { I32, get, wasmModule } from "./wasm.js"

const GIB = 2 ** 30
const write = source("write", ["inout float32*", "float32"], "args[0].fill(args[1])")

test("arrays beyond 2 GiB work in every operation, up to 4 GiB", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  driver.memory.allocate(2 * GIB + GIB, stream, never)
  const rest = 4 * GIB - 3 * GIB - 256
  driver.memory.allocate(rest - 2048, stream, never)
  const high = driver.memory.allocate(1024, stream, never)
  const last = driver.memory.allocate(1024, stream, never)
  assert.equal(last, 4 * GIB - 1024)
  assert.equal(driver.memory.usage().reserved, 4 * GIB)
  assert.ok(thrownBy(() => driver.memory.allocate(1, stream, never)) instanceof OutOfMemoryError)
  driver.memory.free(high, stream, { slot: 0, tick: 1 })
  const pinned = driver.memory.allocatePinned(1024)
  assert.equal(pinned.address, high)
  const floats = new Float32Array(pinned.buffer, pinned.byteOffset, 256)
  const range = { address: last, length: 256 }
  launch(driver, stream, driver.kernels.load(write), range, 2.5)
  driver.memory.copy(high, last, 512, stream)
  driver.memory.fill(last, new Uint8Array(Float32Array.of(7).buffer), 256, stream)
  driver.memory.copy(high + 512, last + 512, 512, stream)
  driver.streams.synchronize(stream)
  assert.deepEqual([floats[0], floats[127], floats[128], floats[255]], [2.5, 2.5, 7, 7])
  const store = wasmModule({ parameters: [I32, I32], code: [...get(0), ...get(1), 0x36, 2, 0] })
  const parameters = [
    { dtype: "int32" as const, access: "out" as const },
    { dtype: "int32" as const, access: undefined },
  ]
  launch(driver, stream, driver.kernels.load(kernelOf("k", { wasm: store }, parameters)), range, 77)
  driver.memory.copy(high, last, 4, stream)
  driver.memory.upload(last, new Uint8Array(Int32Array.of(-3).buffer), stream)
  driver.memory.copy(high + 4, last, 4, stream)
  driver.streams.synchronize(stream)
  assert.deepEqual(Array.from(new Int32Array(pinned.buffer, pinned.byteOffset, 2)), [77, -3])
})

test("an out-of-memory error says how much was requested, how much is used and how much there is", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  driver.memory.allocate(1000, stream, never)
  driver.memory.allocatePinned(500)
  const error = thrownBy(() => driver.memory.allocate(5 * GIB, stream, never))
  assert.ok(error instanceof OutOfMemoryError)
  for (const figure of [5 * GIB, 1000, 500, driver.memory.usage().reserved, 4 * GIB]) {
    assert.match(error.message, new RegExp(`\\b${figure}\\b`))
  }
})

test("workers and loaded modules see memory that was added later", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const store = wasmModule({ parameters: [I32, I32], code: [...get(0), ...get(1), 0x36, 2, 0] })
  const parameters = [
    { dtype: "int32" as const, access: "out" as const },
    { dtype: "int32" as const, access: undefined },
  ]
  const wasm = driver.kernels.load(kernelOf("k", { wasm: store }, parameters))
  const kernel = driver.kernels.load(write)
  const result = driver.memory.allocatePinned(8)
  const words = new Int32Array(result.buffer, result.byteOffset, 2)
  for (let size = 1 << 16; size <= 1 << 28; size *= 4) {
    const address = driver.memory.allocate(size, stream, never)
    const last = address + size - 256
    launch(driver, stream, wasm, { address: last, length: 1 }, size)
    launch(driver, stream, kernel, { address: last + 4, length: 1 }, 1)
    driver.memory.copy(result.address, last, 8, stream)
    driver.streams.synchronize(stream)
    assert.deepEqual(Array.from(words), [size, 0x3f800000])
  }
})

test("a copy may overlap itself", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const memory = driver.memory.allocatePinned(256)
  const bytes = new Uint8Array(memory.buffer, memory.byteOffset, 256)
  for (const [to, from] of [
    [10, 0],
    [0, 10],
  ] as const) {
    for (let index = 0; index < 256; index++) bytes[index] = index
    const expected = bytes.slice()
    expected.copyWithin(to, from, from + 200)
    driver.memory.copy(memory.address + to, memory.address + from, 200, stream)
    driver.streams.synchronize(stream)
    assert.deepEqual(bytes.slice(), expected)
  }
})

test("fills repeat elements of 1, 2, 4 and 8 bytes", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const memory = driver.memory.allocatePinned(256)
  const bytes = new Uint8Array(memory.buffer, memory.byteOffset, 256)
  for (const element of [[7], [1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 250, 6, 7, 248], [0, 0], [9, 9, 9, 9, 9, 9, 9, 9]]) {
    bytes.fill(0xee)
    const count = 5
    driver.memory.fill(memory.address + 8, Uint8Array.from(element), count, stream)
    driver.streams.synchronize(stream)
    const expected = new Uint8Array(256).fill(0xee)
    for (let index = 0; index < count * element.length; index++)
      expected[8 + index] = element[index % element.length] ?? 0
    assert.deepEqual(bytes.slice(), expected)
  }
})

test("an upload to an idle stream is done when it returns, and makes no worker look at the stream", () => {
  const driver = new HostDriver(2, 2, "host")
  const stream = driver.streams.create(0)
  const address = driver.memory.allocate(4, stream, never)
  driver.memory.upload(address, Uint8Array.of(1, 2, 3, 4), stream)
  assert.equal(Atomics.load(driver.control.words, ACTIVE), 0)
  assert.deepEqual([...(driver.memory.bytesNow(address, 4, stream) ?? [])], [1, 2, 3, 4])
  driver.close()
})

test("an upload has read its source when it returns, and keeps its place in the stream's order", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const memory = driver.memory.allocatePinned(256)
  const bytes = new Uint8Array(memory.buffer, memory.byteOffset, 256)
  const source = Uint8Array.of(1, 2, 3)
  driver.memory.upload(memory.address, source, stream)
  source.fill(0)
  driver.streams.synchronize(stream)
  assert.deepEqual(Array.from(bytes.subarray(0, 3)), [1, 2, 3])
  const latch = new Latch(driver)
  const used = driver.memory.usage().used
  try {
    latch.hold(stream)
    driver.memory.copy(memory.address + 8, memory.address, 3, stream)
    const large = new Uint8Array(100_000)
    const target = driver.memory.allocate(large.length, stream, never)
    for (let round = 0; round < 100; round++) {
      source.fill(round)
      driver.memory.upload(memory.address, source, stream)
      large.fill(round)
      driver.memory.upload(target, large, stream)
    }
    large.fill(0)
    driver.memory.copy(memory.address + 24, target + large.length - 3, 3, stream)
    driver.memory.free(target, stream, { slot: 0, tick: 1 })
    source.fill(0)
    driver.memory.copy(memory.address + 16, memory.address, 3, stream)
    assert.equal(bytes[0], 1)
  } finally {
    latch.open()
  }
  driver.streams.synchronize(stream)
  assert.deepEqual(Array.from(bytes.subarray(8, 11)), [1, 2, 3])
  assert.deepEqual(Array.from(bytes.subarray(16, 19)), [99, 99, 99])
  assert.deepEqual(Array.from(bytes.subarray(24, 27)), [99, 99, 99])
  assert.equal(driver.memory.usage().used, used)
})

test("draining frees all deferred releases, and an allocation never waits itself", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const other = driver.streams.create(0)
  const latch = new Latch(driver)
  const timer = setTimeout(() => latch.open(), 60_000)
  const large = driver.memory.allocate(3 * GIB, stream, never)
  try {
    latch.hold(stream)
    driver.memory.free(large, stream, { slot: 0, tick: 1 })
    assert.ok(thrownBy(() => driver.memory.allocate(3 * GIB, other, never)) instanceof OutOfMemoryError)
    assert.equal(driver.memory.usage().used, 0)
  } finally {
    latch.open()
    clearTimeout(timer)
  }
  driver.memory.drainFrees()
  assert.equal(driver.memory.allocate(3 * GIB, other, never), large)
})

test("pinned memory is zeroed, has its own buffer object and is freed by its address", () => {
  using driver = open()
  const one = driver.memory.allocatePinned(100)
  new Uint8Array(one.buffer, one.byteOffset, 100).fill(1)
  const two = driver.memory.allocatePinned(100)
  assert.notEqual(one.buffer, two.buffer)
  driver.memory.freePinned(one.address)
  const three = driver.memory.allocatePinned(100)
  assert.equal(three.address, one.address)
  assert.deepEqual(new Uint8Array(three.buffer, three.byteOffset, 100).slice(), new Uint8Array(100))
  assert.equal(driver.memory.usage().used, 0)
})

test("staging memory is in the device's own buffer", () => {
  using driver = open()
  const [one, other] = [8, 400].map((byteLength) => driver.memory.allocatePinned(byteLength, true))
  assert.equal(one?.buffer, other?.buffer)
  assert.equal(other?.byteOffset, other?.address)
})

test("a loop of allocations, launches and frees over streams keeps a bounded footprint", () => {
  using driver = open()
  const streams = Array.from({ length: 4 }, () => driver.streams.create(0))
  const kernel = driver.kernels.load(write)
  let reserved = 0
  for (let round = 0; round < 40_000; round++) {
    const stream = streams[round % 4] ?? 0
    const length = 1 + ((round * 7919) % 3000)
    const address = driver.memory.allocate(length * 4, stream, never)
    launch(driver, stream, kernel, { address, length: 1 }, 1)
    driver.memory.free(address, stream, { slot: stream, tick: round })
    if (round === 4000) reserved = driver.memory.usage().reserved
  }
  assert.ok(driver.memory.usage().reserved <= reserved)
  assert.equal(driver.memory.usage().used, 0)
})
