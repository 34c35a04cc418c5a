import assert from "node:assert/strict"
import { test } from "node:test"
import { LaunchShape } from "../../src/common/facts/launch-shape.js"
import type { StreamHandle } from "../../src/driver/handles.js"
import { Latch, launch, never, noop, onDouble, open, saxpy, settled, withCode } from "./device.js"
import { double } from "./double.js"

const push = /^cuCtxPushCurrent_v2 \d+$/
const pop = /^cuCtxPopCurrent_v2/

/** The calls that `fn` makes, without their arguments. */
function names(fn: () => void): (string | number | undefined)[] {
  return double.log(fn).map(([name]) => name)
}

onDouble("calls of the driver", () => {
  test("the calls of a fork-join are one each, with the handles as they are", () => {
    using driver = open()
    const [main, aux] = [driver.streams.create(0), driver.streams.create(0)]
    const [first, second] = [driver.events.create(false), driver.events.create(false)]
    const kernel = driver.kernels.load(noop)
    const go = (stream: StreamHandle): void =>
      void driver.kernels.launch(stream, kernel, LaunchShape.of(), [], undefined)
    const calls = double.log(() => {
      driver.events.record(first, main)
      go(main)
      driver.streams.wait(aux, first)
      go(aux)
      driver.events.record(second, aux)
      driver.streams.wait(main, second)
    })
    assert.deepEqual(
      calls.map(([name, ...handles]) => [name, ...(name === "cuLaunchKernelEx" ? handles.slice(1) : handles)]),
      [
        ["cuEventRecord", first, main],
        ["cuLaunchKernelEx", main],
        ["cuStreamWaitEvent", aux, first, 0],
        ["cuLaunchKernelEx", aux],
        ["cuEventRecord", second, aux],
        ["cuStreamWaitEvent", main, second, 0],
      ],
    )
  })

  test("a call that needs the current context pushes ours and restores the thread's", () => {
    using driver = open()
    let stream = 0
    let event = 0
    const lines = (fn: () => void): string[] => double.log(fn).map((words) => words.join(" "))
    const [pushed, created, popped] = lines(() => {
      stream = driver.streams.create(-2)
    })
    assert.match(pushed ?? "", push)
    assert.equal(created, "cuStreamCreateWithPriority 1 -2".replace("-2", String(2 ** 64 - 2)))
    assert.match(popped ?? "", pop)
    assert.equal(double.streamPriority(stream), -2)
    const eventCalls = lines(() => {
      event = driver.events.create(false)
    })
    assert.equal(eventCalls[1], "cuEventCreate 2")
    assert.equal(double.eventFlags(event), 2)
    assert.equal(double.eventFlags(driver.events.create(true)), 0)
    assert.equal(driver.streams.foreignHandle(stream), BigInt(stream))
    assert.equal(driver.events.foreignHandle(event), BigInt(event))
  })

  test("queueing and asking are one call each", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const event = driver.events.create(false)
    const kernel = driver.kernels.load(saxpy)
    const address = driver.memory.allocate(1024, stream, never)
    const range = { address, length: 256 }
    driver.streams.synchronize(stream)
    const once: readonly [string, () => unknown][] = [
      ["cuEventRecord", () => driver.events.record(event, stream)],
      ["cuEventQuery", () => driver.events.query(event)],
      ["cuEventSynchronize", () => driver.events.synchronize(event)],
      ["cuStreamWaitEvent", () => driver.streams.wait(stream, event)],
      ["cuStreamQuery", () => driver.streams.query(stream)],
      ["cuStreamSynchronize", () => driver.streams.synchronize(stream)],
      ["cuMemcpyAsync", () => driver.memory.copy(address, address + 512, 512, stream)],
      ["cuMemsetD8Async", () => driver.memory.fill(address, new Uint8Array(1), 1024, stream)],
      ["cuMemsetD16Async", () => driver.memory.fill(address, new Uint8Array(2), 512, stream)],
      ["cuMemsetD32Async", () => driver.memory.fill(address, new Uint8Array(4), 256, stream)],
      ["cuMemsetD32Async", () => driver.memory.fill(address, new Uint8Array(8), 128, stream)],
      [
        "cuLaunchKernelEx",
        () => driver.kernels.launch(stream, kernel, LaunchShape.of(), [4, 2, range, range], undefined),
      ],
      ["cuEventDestroy_v2", () => driver.events.destroy(event)],
    ]
    for (const [name, call] of once) assert.deepEqual(names(call), [name])
  })

  test("the memory pool is our own, adds no waits, and releases nothing by itself", () => {
    let driver: ReturnType<typeof open> | undefined
    const calls = double.log(() => {
      driver = open()
    })
    const attributes = calls
      .filter(([name]) => name === "cuMemPoolSetAttribute")
      .map(([, , attribute, value]) => [attribute, value])
    const [followEvents, opportunistic, internalDependencies, threshold] = [1, 2, 3, 4]
    assert.deepEqual(attributes, [
      [followEvents, 1],
      [opportunistic, 1],
      [internalDependencies, 0],
      [threshold, Number.MAX_SAFE_INTEGER],
    ])
    driver?.close()
  })

  test("an upload of pageable memory uses pinned memory, and is one copy and one record", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    const address = driver.memory.allocate(1024, stream, never)
    driver.memory.upload(address, new Uint8Array(1024), stream)
    driver.streams.synchronize(stream)
    const again = names(() => driver.memory.upload(address, new Uint8Array(1024), stream))
    assert.deepEqual(again, ["cuEventQuery", "cuMemcpyAsync", "cuEventRecord"])
  })

  test("a completion awaited right after its record gets an internal event at the same point", async () => {
    using driver = open()
    const stream = driver.streams.create(0)
    using latch = new Latch(driver).hold(stream)
    const event = driver.events.create(false)
    let done: Promise<void> | undefined
    const calls = double.log(() => {
      driver.events.record(event, stream)
      done = settled(driver, event)
    })
    const [, , , , , [, ours] = []] = calls
    assert.deepEqual(
      calls.map(([name]) => name),
      ["cuEventRecord", "cuEventQuery", "cuCtxPushCurrent_v2", "cuEventCreate", "cuCtxPopCurrent_v2", "cuEventRecord"],
    )
    const disableTiming = 2
    assert.equal(double.eventFlags(Number(ours)), disableTiming)
    latch.open()
    await done
  })

  test("a kernel is loaded before its first launch", () => {
    using driver = open()
    const stream = driver.streams.create(0)
    launch(driver, stream, withCode(noop))
    driver.streams.synchronize(stream)
    assert.equal(double.launchesThatLoad(), 0)
  })
})
