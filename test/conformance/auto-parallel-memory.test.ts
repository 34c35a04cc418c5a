import assert from "node:assert/strict"
import { test } from "node:test"
import { autoParallel, captureGraph, type Device, type DeviceArray, parallel } from "../../src/index.js"
import { matmul } from "../../src/blas/index.js"
import { forEachDevice } from "../support/devices.js"
import { isHeld, Latch } from "../support/latch.js"
import { firsts, fourArrays, type Ints, mix, placed, step, streamsOf } from "../support/placed.js"

const length = 1000

/** A layer with two branches, temporary arrays of several sizes, and a new result. */
function layer(device: Device, x: Ints): Ints {
  const left = device.zeros("int32", length)
  mix(x, left)
  const right = device.full("int32", 2 * length, 1)
  mix(x, right.subarray(0, length))
  const wide = device.empty("int32", 2 * length).copyFrom(right)
  right.dispose()
  const result = device.empty("int32", length).copyFrom(left)
  left.dispose()
  mix(wide.subarray(0, length), result)
  wide.dispose()
  return result
}

/** A branch of a layer: a new array, computed with scratch memory. */
function branch(device: Device, x: Ints, weight: Ints, scratch: number): Ints {
  using memory = device.full("int32", scratch, 1)
  if (weight.length > 0) mix(weight.subarray(0, 16), memory.subarray(0, 16))
  mix(x, memory.subarray(0, 16))
  return device.empty("int32", 16).copyFrom(memory.subarray(0, 16))
}

function model(device: Device, x: Ints, around: (fn: () => Ints) => Ints = (fn) => fn()): Ints {
  let y = x
  for (let index = 0; index < 24; index++) {
    const next = around(() => layer(device, y))
    if (y !== x) y.dispose()
    y = next
  }
  return y
}

/** The most bytes that a call needs beyond those used before. */
function peakOf<T>(device: Device, fn: () => T): { readonly peak: number; readonly result: T } {
  device.synchronize()
  const { used } = device.memory
  device.resetPeakMemory()
  const result = fn()
  return { peak: device.memory.peak - used, result }
}

forEachDevice("memory of autoParallel", (open) => {
  test("§14 where: 24 layers need at most twice the memory that they need in sequence, in one region, in 24, and captured", () => {
    using device = open()
    using x = device.full("int32", length, 1)
    using latch = new Latch(device)
    device.synchronize()
    // Behind a latch nothing ends meanwhile, so memory is reused in stream order alone.
    latch.hold()
    const sequential = peakBehindLatch(device, () => model(device, x))
    const whole = peakBehindLatch(device, () => autoParallel(() => model(device, x)))
    const single = peakBehindLatch(device, () => model(device, x, autoParallel))
    latch.open()
    const expected = sequential.result.readSync()
    for (const { peak, result } of [whole, single]) {
      assert.ok(peak <= 2 * sequential.peak, `${peak} bytes, in sequence ${sequential.peak}`)
      assert.deepEqual(result.readSync(), expected)
    }
    const capturedInSequence = peakOf(device, () => captureGraph(() => model(device, x)))
    const captured = peakOf(device, () => captureGraph(() => autoParallel(() => model(device, x))))
    assert.ok(captured.peak <= 2 * capturedInSequence.peak, `${captured.peak}, in sequence ${capturedInSequence.peak}`)
    captured.result.launch()
    assert.deepEqual(captured.result.result.readSync(), expected)
    assert.equal(latch.timedOut, false)
  })

  test("§14 where: small temporary arrays beside large weights leave independent branches side by side", () => {
    using device = open()
    using weights = device.full("int32", 4096, 2)
    const results = [0, 1, 2, 3].map(() => device.full("int32", 8, 0))
    /** Branches whose scratch memory is larger than anything else that they make. */
    const branches = () => {
      step(weights)
      for (const result of results) {
        using scratch = device.full("int32", 64, 1)
        mix(weights.subarray(0, 64), scratch)
        mix(scratch.subarray(0, 8), result)
      }
    }
    const report = placed(branches)
    assert.deepEqual(streamsOf(report), [0, 1, 0, 0, 2, 2, 2, 3, 3, 3, 4, 4, 4])
    using graph = captureGraph(() => autoParallel(branches))
    assert.equal(graph.branchCount, 5)
  })

  /** Layers with one branch beside another, temporary arrays of many sizes, and weights if there are any. */
  const shapes: readonly {
    readonly name: string
    readonly weights: number
    readonly scratch: (layer: number) => number
  }[] = [
    { name: "many small layers", weights: 0, scratch: () => 16 },
    { name: "one large scratch array", weights: 0, scratch: (layer) => (layer === 11 ? 50_000 : 16) },
    { name: "scratch that grows", weights: 0, scratch: (layer) => 16 + 337 * layer },
    { name: "scratch that shrinks", weights: 0, scratch: (layer) => 16 + 337 * (24 - layer) },
    { name: "scratch of any size", weights: 0, scratch: (layer) => 16 + ((layer * 7919) % 4099) },
    { name: "weights beside large scratch", weights: 500, scratch: (layer) => 16 + ((layer * 7919) % 4099) },
    { name: "weights beside small scratch", weights: 5000, scratch: () => 2000 },
  ]
  for (const { name, weights: size, scratch } of shapes) {
    test(`§14 where: 24 layers need at most twice the memory of a sequence: ${name}`, () => {
      using device = open()
      const before = device.memory.used
      using x = device.full("int32", 16, 1)
      const weights = Array.from({ length: 24 }, () => device.full("int32", size, 1))
      const layers = (): Ints => {
        let y = x
        for (const [index, weight] of weights.entries()) {
          const left = branch(device, y, weight, scratch(index))
          const right = branch(device, y, weight, scratch(index + 1))
          mix(left, right)
          left.dispose()
          if (y !== x) y.dispose()
          y = right
        }
        return y
      }
      using latch = new Latch(device)
      device.synchronize()
      latch.hold()
      const own = device.memory.used - before
      const sequential = peakBehindLatch(device, layers)
      const region = peakBehindLatch(device, () => autoParallel(layers))
      latch.open()
      const expected = sequential.result.readSync()
      assert.deepEqual(region.result.readSync(), expected)
      const capturedInSequence = peakOf(device, () => captureGraph(layers))
      const captured = peakOf(device, () => captureGraph(() => autoParallel(layers)))
      captured.result.launch()
      assert.deepEqual(captured.result.result.readSync(), expected)
      for (const [one, other] of [
        [region.peak, sequential.peak],
        [captured.peak, capturedInSequence.peak],
      ] as const) {
        assert.ok(own + one <= 2 * (own + other), `${own + one} bytes, in sequence ${own + other}`)
      }
      assert.equal(latch.timedOut, false)
    })
  }

  test("§14 where: products of 24 layers, with their workspaces, need at most twice the memory of a sequence", () => {
    using device = open()
    const size = 64
    const weights = [1, 2, 3].map((value) => device.full("float32", size * size, value / size))
    using x = device.full("float32", size * size, 1)
    const products = (): DeviceArray<"float32"> => {
      let y = x
      for (let index = 0; index < 24; index++) {
        const made = weights.map((b) => {
          const out = device.empty("float32", size * size)
          matmul({ a: y, b, out, m: size, n: size, k: size })
          return out
        })
        const [a, b, out] = made
        assert.ok(a && b && out)
        matmul({ a, b, out, m: size, n: size, k: size, beta: 1, alpha: 1 / size })
        for (const array of [a, b, y]) if (array !== x) array.dispose()
        y = out
      }
      return y
    }
    const sequential = peakOf(device, products)
    const expected = sequential.result.readSync()
    const region = peakOf(device, () => autoParallel(products))
    assert.deepEqual(region.result.readSync(), expected)
    const captured = peakOf(device, () => captureGraph(() => autoParallel(products)))
    captured.result.launch()
    assert.deepEqual(captured.result.result.readSync(), expected)
    for (const { peak } of [region, captured]) {
      assert.ok(peak <= 2 * sequential.peak, `${peak} bytes, in sequence ${sequential.peak}`)
    }
  })

  test("§14 where: a long region keeps nothing of what it has queued", () => {
    using device = open()
    const [x, y] = fourArrays(device)
    const kept = () => {
      // A step is reachable only through the history, which keeps the newest.
      const steps = 2000
      for (let count = 0; count < steps; count++) {
        using made = device.empty("int32", 4).fill(count)
        mix(made, count % 2 === 0 ? x : y)
        if (count % 500 === 0) made.readSync()
      }
    }
    const { peak } = peakOf(device, () => autoParallel(kept))
    assert.ok(peak <= 64 * 2 ** 10, `${peak} bytes`)
    assert.equal(device.memory.used, 64)
  })

  test("§14 where: memory that the region disposed of comes back: a thousand regions need no more than one", () => {
    using device = open()
    using x = device.full("int32", length, 1)
    autoParallel(() => layer(device, x)).dispose()
    device.synchronize()
    const { used } = device.memory
    const { peak } = peakOf(device, () => autoParallel(() => layer(device, x)).dispose())
    for (let turn = 0; turn < 100; turn++) autoParallel(() => layer(device, x)).dispose()
    device.synchronize()
    assert.equal(device.memory.used, used)
    assert.ok(
      device.memory.peak - used <= 3 * peak,
      `${device.memory.peak - used} bytes after 100 regions, ${peak} for one`,
    )
  })

  test("§4 an array made in a region is ordered: its first use on another stream waits for its contents", () => {
    using device = open()
    using latch = new Latch(device)
    using other = device.createStream()
    device.synchronize()
    const [made, again] = autoParallel(() => {
      latch.holdUnnamed()
      const first = device.full("int32", 4, 5)
      step(first)
      first.dispose()
      const before = device.empty("int32", 4).fill(1)
      before.dispose()
      return [device.full("int32", 4, 7), device.empty("int32", 4)] as const
    })
    other.run(() => {
      step(made)
      again.fill(3)
    })
    assert.equal(isHeld(other), true)
    latch.open()
    other.synchronize()
    assert.deepEqual(firsts(made, again), [22, 3])
    assert.equal(latch.timedOut, false)
  })

  test("§14 where: arrays made in a region can be used in fork-joins inside it, and disposed of there", () => {
    using device = open()
    const [x, y] = fourArrays(device)
    autoParallel(() => {
      const made = device.full("int32", 4, 2)
      step(made)
      parallel([() => mix(made, x), () => mix(made, y)])
      made.dispose()
      const next = device.full("int32", 4, 1)
      mix(next, x)
      next.dispose()
    })
    assert.deepEqual(firsts(x, y), [(3 + 7) * 3 + 1, 13])
    assert.equal(streamsOf(placed(() => step(x)))[0], 0)
  })

  test("§14 where: an array that a region made outlives it, and its memory is freed after its last use", async () => {
    using device = open()
    using latch = new Latch(device)
    device.synchronize()
    const { used } = device.memory
    let made: Ints | undefined
    autoParallel(() => {
      const temporary = device.full("int32", 4, 1)
      made = device.empty("int32", 4).copyFrom(temporary)
      temporary.dispose()
    })
    assert.ok(made !== undefined)
    latch.hold()
    step(made)
    const result = made.read()
    made.dispose()
    const next = device.full("int32", 4, 9)
    latch.open()
    const values = await result
    assert.deepEqual([values[0], next.readSync()[0]], [4, 9])
    next.dispose()
    device.synchronize()
    assert.equal(device.memory.used, used)
    assert.equal(latch.timedOut, false)
  })
})

/** Like {@link peakOf}, while the device is held. */
function peakBehindLatch<T>(device: Device, fn: () => T): { readonly peak: number; readonly result: T } {
  const { used } = device.memory
  device.resetPeakMemory()
  const result = fn()
  return { peak: device.memory.peak - used, result }
}
