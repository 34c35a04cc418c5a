import assert from "node:assert/strict"
import { test } from "node:test"
import { isDeepStrictEqual } from "node:util"
import { matmul } from "../../src/blas/index.js"
import { SCRATCH_BYTES } from "../../src/blas/blocks.js"
import { forEachDevice, onHost } from "../support/devices.js"
import type { Device } from "../../src/index.js"
import { Latch } from "../support/latch.js"
import { unsanitized } from "../support/races.js"

const square = { m: 2, n: 2, k: 2 }

/** cuBLAS loads a product's kernels at its first use, and CUDA waits for that until no latch is closed. */
function loaded(device: Device): Device {
  using a = device.zeros("float32", 4)
  using out = device.empty("float32", 4)
  matmul({ a, b: a, out, ...square })
  return device
}

forEachDevice("matmul among other work", (open) => {
  test("§4 a product is queued on the current stream, after the work queued there", unsanitized, () => {
    using device = loaded(open())
    using stream = device.createStream()
    using a = device.from(Float32Array.of(1, 2, 3, 4))
    using b = device.from(Float32Array.of(5, 6, 7, 8))
    using out = device.zeros("float32", 4)
    stream.wait(device.defaultStream)
    using latch = new Latch(device).hold(stream)
    stream.run(() => matmul({ a, b, out, ...square }))
    assert.deepEqual(out.readSync(), Float32Array.of(0, 0, 0, 0))
    latch.open()
    assert.deepEqual(
      stream.run(() => out.readSync()),
      Float32Array.of(19, 22, 43, 50),
    )
    assert.equal(latch.timedOut, false)
  })

  test("§4 a product is queued on the named stream, not on the current one", () => {
    using device = loaded(open())
    using held = device.createStream()
    using free = device.createStream()
    using a = device.from(Float32Array.of(1, 2, 3, 4))
    using out = device.zeros("float32", 4)
    free.wait(device.defaultStream)
    using latch = new Latch(device).hold(held)
    held.run(() => matmul({ a, b: a, out, ...square, stream: free }))
    free.synchronize()
    assert.deepEqual(
      free.run(() => out.readSync()),
      Float32Array.of(7, 10, 15, 22),
    )
    assert.equal(latch.timedOut, false)
  })

  test("§5.6 inputs may be disposed of at once", () => {
    using device = loaded(open())
    using out = device.zeros("float32", 4)
    device.synchronize()
    const { used } = device.memory
    for (let i = 0; i < 50; i++) {
      const a = device.full("float32", 4, i)
      matmul({ a, b: a, out, ...square })
      a.dispose()
    }
    device.synchronize()
    assert.deepEqual(out.readSync(), new Float32Array(4).fill(2 * 49 * 49))
    assert.equal(device.memory.used, used)
  })

  test("§4 concurrent products on two streams do not disturb each other", () => {
    using device = open()
    using other = device.createStream()
    const n = 96
    using a = device.from(Float32Array.from({ length: n * n }, (_, i) => ((i * 7) % 13) - 6))
    using one = device.empty("float32", n * n)
    using two = device.empty("float32", n * n)
    other.wait(device.defaultStream)
    for (let i = 0; i < 20; i++) {
      matmul({ a, b: a, out: one, m: n, n, k: n })
      matmul({ a, b: a, out: two, m: n, n, k: n, stream: other })
    }
    other.synchronize()
    assert.deepEqual(one.readSync(), two.readSync())
  })

  test("§4 infinity and NaN propagate as in float64, and alpha 0 reads no input", () => {
    using device = open()
    using a = device.from(Float32Array.of(Infinity, 1, NaN, 1))
    using b = device.from(Float32Array.of(1, 0, 0, 1))
    using out = device.full("float32", 4, 3)
    matmul({ a, b, out, ...square })
    assert.deepEqual([...out.readSync()], [Infinity, NaN, NaN, NaN])
    out.fill(3)
    matmul({ a, b, out, ...square, alpha: 0, beta: 2 })
    assert.deepEqual(out.readSync(), Float32Array.of(6, 6, 6, 6))
    matmul({ a, b, out, m: 2, n: 2, k: 0 })
    assert.deepEqual(out.readSync(), new Float32Array(4))
  })

  test("§4 alpha may be any number; cuBLAS may multiply by an infinite one before it adds up", () => {
    using device = open()
    using b = device.from(Float32Array.of(1, 0, 0, 1))
    using out = device.full("float32", 4, 3)
    matmul({ a: b, b, out, ...square, alpha: Infinity })
    const sums = [Infinity, NaN, NaN, Infinity]
    const summands = [NaN, NaN, NaN, NaN]
    const found = [...out.readSync()]
    assert.ok(
      [sums, ...(device.kind === "host" ? [] : [summands])].some((one) => isDeepStrictEqual(one, found)),
      String(found),
    )
    matmul({ a: b, b, out, ...square, alpha: 3e38 })
    assert.deepEqual(out.readSync(), Float32Array.of(3e38, 0, 0, 3e38))
  })
})

onHost("matmul among other work", (open) => {
  test("§5.6 a stream's products share scratch memory, which is freed with the stream", () => {
    using device = open()
    using out = device.zeros("float32", 4)
    device.synchronize()
    const { used } = device.memory
    const stream = device.createStream()
    stream.wait(device.defaultStream)
    stream.run(() => {
      for (let i = 0; i < 50; i++) {
        using a = device.full("float32", 4, i)
        matmul({ a, b: a, out, ...square })
      }
    })
    stream.synchronize()
    assert.ok(device.memory.peak < used + 2 * SCRATCH_BYTES, `${device.memory.peak} bytes at the peak`)
    stream.dispose()
    device.synchronize()
    assert.deepEqual(out.readSync(), new Float32Array(4).fill(2 * 49 * 49))
    assert.equal(device.memory.used, used)
  })
})
