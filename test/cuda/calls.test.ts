import assert from "node:assert/strict"
import { test } from "node:test"
import type { StreamHandle } from "../../src/driver.js"
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
    const [main, aux] = [driver.createStream(0), driver.createStream(0)]
    const [first, second] = [driver.createEvent(false), driver.createEvent(false)]
    const kernel = driver.loadKernel(noop)
    const go = (stream: StreamHandle): void => void driver.launch(stream, kernel, 1, 1, 1, 1, 1, 1, 0, [], undefined)
    const calls = double.log(() => {
      driver.recordEvent(first, main)
      go(main)
      driver.waitEvent(aux, first)
      go(aux)
      driver.recordEvent(second, aux)
      driver.waitEvent(main, second)
    })
    assert.deepEqual(
      calls.map(([name, ...handles]) => [name, ...(name === "cuLaunchKernel" ? handles.slice(1) : handles)]),
      [
        ["cuEventRecord", first, main],
        ["cuLaunchKernel", main],
        ["cuStreamWaitEvent", aux, first, 0],
        ["cuLaunchKernel", aux],
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
      stream = driver.createStream(-2)
    })
    assert.match(pushed ?? "", push)
    assert.equal(created, "cuStreamCreateWithPriority 1 -2".replace("-2", String(2 ** 64 - 2)))
    assert.match(popped ?? "", pop)
    assert.equal(double.streamPriority(stream), -2)
    const eventCalls = lines(() => {
      event = driver.createEvent(false)
    })
    assert.equal(eventCalls[1], "cuEventCreate 2")
    assert.equal(double.eventFlags(event), 2)
    assert.equal(double.eventFlags(driver.createEvent(true)), 0)
    assert.equal(driver.foreignHandle(stream), BigInt(stream))
    assert.equal(driver.foreignEventHandle(event), BigInt(event))
  })

  test("queueing and asking are one call each", () => {
    using driver = open()
    const stream = driver.createStream(0)
    const event = driver.createEvent(false)
    const kernel = driver.loadKernel(saxpy)
    const address = driver.allocate(1024, stream, never)
    const range = { address, length: 256 }
    driver.synchronizeStream(stream)
    const once: readonly [string, () => unknown][] = [
      ["cuEventRecord", () => driver.recordEvent(event, stream)],
      ["cuEventQuery", () => driver.queryEvent(event)],
      ["cuEventSynchronize", () => driver.synchronizeEvent(event)],
      ["cuStreamWaitEvent", () => driver.waitEvent(stream, event)],
      ["cuStreamQuery", () => driver.queryStream(stream)],
      ["cuStreamSynchronize", () => driver.synchronizeStream(stream)],
      ["cuMemcpyAsync", () => driver.copy(address, address + 512, 512, stream)],
      ["cuMemsetD8Async", () => driver.fill(address, new Uint8Array(1), 1024, stream)],
      ["cuMemsetD16Async", () => driver.fill(address, new Uint8Array(2), 512, stream)],
      ["cuMemsetD32Async", () => driver.fill(address, new Uint8Array(4), 256, stream)],
      ["cuMemsetD32Async", () => driver.fill(address, new Uint8Array(8), 128, stream)],
      ["cuLaunchKernel", () => driver.launch(stream, kernel, 1, 1, 1, 1, 1, 1, 0, [4, 2, range, range], undefined)],
      ["cuEventDestroy_v2", () => driver.destroyEvent(event)],
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
    const stream = driver.createStream(0)
    const address = driver.allocate(1024, stream, never)
    driver.upload(address, new Uint8Array(1024), stream)
    driver.synchronizeStream(stream)
    const again = names(() => driver.upload(address, new Uint8Array(1024), stream))
    assert.deepEqual(again, ["cuEventQuery", "cuMemcpyAsync", "cuEventRecord"])
  })

  test("a completion awaited right after its record gets an internal event at the same point", async () => {
    using driver = open()
    const stream = driver.createStream(0)
    using latch = new Latch(driver).hold(stream)
    const event = driver.createEvent(false)
    let done: Promise<void> | undefined
    const calls = double.log(() => {
      driver.recordEvent(event, stream)
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
    const stream = driver.createStream(0)
    launch(driver, stream, withCode(noop))
    driver.synchronizeStream(stream)
    assert.equal(double.launchesThatLoad(), 0)
  })
})
