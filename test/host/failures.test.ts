import assert from "node:assert/strict"
import { test } from "node:test"
import { KernelError } from "../../src/common/errors.js"
import { kernelOf, completed, Latch, launch, never, open, source, thrownBy } from "./device.js"

const boom = source("boom", [], "throw new TypeError('no good')")
const count = source("count", ["inout int32*"], "args[0][0]++")
const nothing = source("nothing", [], "")

test("a kernel that throws breaks its stream: every call throws the same error, and later work is skipped", async () => {
  using driver = open()
  const stream = driver.createStream(0)
  const latch = new Latch(driver)
  const counter = driver.allocatePinned(4)
  const words = new Int32Array(counter.buffer, counter.byteOffset, 1)
  const range = { address: counter.address, length: 1 }
  const kernel = driver.loadKernel(count)
  const before = driver.createEvent(false)
  try {
    latch.hold(stream)
    launch(driver, stream, kernel, range)
    driver.recordEvent(before, stream)
    launch(driver, stream, driver.loadKernel(boom))
    launch(driver, stream, kernel, range)
    driver.fill(counter.address, Uint8Array.of(9), 4, stream)
  } finally {
    latch.open()
  }
  const error = thrownBy(() => driver.synchronizeStream(stream))
  assert.ok(error instanceof KernelError)
  assert.equal(error.code, "AUX_KERNEL_FAILED")
  assert.equal(error.kernel, "boom")
  assert.match(error.message, /TypeError: no good/)
  assert.match(error.kernelStack, /no good/)
  assert.ok(error.kernelStack.length < 2000)
  assert.equal(words[0], 1)
  assert.equal(
    thrownBy(() => driver.queryStream(stream)),
    error,
  )
  assert.equal(
    thrownBy(() => launch(driver, stream, kernel, range)),
    error,
  )
  assert.equal(
    thrownBy(() => driver.copy(counter.address, counter.address, 4, stream)),
    error,
  )
  assert.equal(await completed(driver, stream).catch((reason: unknown) => reason), error)
  assert.equal(driver.queryEvent(before), true)
  driver.synchronizeEvent(before)
  const address = driver.allocate(256, stream, never)
  driver.free(address, stream, { slot: 0, tick: 1 })
})

test("streams that wait for a failed one, directly or not, break with it as the cause; no other stream breaks", () => {
  using driver = open()
  const streams = Array.from({ length: 4 }, () => driver.createStream(0))
  const [first = 0, second = 0, third = 0, other = 0] = streams
  const event = driver.createEvent(false)
  const early = driver.createEvent(false)
  driver.recordEvent(early, first)
  launch(driver, first, driver.loadKernel(boom))
  driver.recordEvent(event, first)
  driver.waitEvent(second, event)
  driver.recordEvent(event, second)
  driver.waitEvent(third, event)
  driver.waitEvent(other, early)
  launch(driver, other, driver.loadKernel(nothing))
  const error = thrownBy(() => driver.synchronizeStream(third))
  const root = thrownBy(() => driver.synchronizeStream(first))
  assert.ok(error instanceof KernelError)
  assert.equal(error.cause, root)
  const middle = thrownBy(() => driver.synchronizeStream(second))
  assert.ok(middle instanceof KernelError)
  assert.equal(middle.cause, root)
  driver.synchronizeStream(other)
  driver.recordEvent(event, first)
  driver.waitEvent(other, event)
  assert.ok(thrownBy(() => driver.synchronizeStream(other)) instanceof KernelError)
})

test("a wait for a point before the failure does not break, even if it runs after the failure", () => {
  using driver = open(3)
  const [failing, waiting] = [driver.createStream(0), driver.createStream(0)]
  const [first, second] = [new Latch(driver), new Latch(driver)]
  const event = driver.createEvent(false)
  try {
    first.hold(failing)
    driver.recordEvent(event, failing)
    launch(driver, failing, driver.loadKernel(boom))
    second.hold(waiting)
    driver.waitEvent(waiting, event)
    launch(driver, waiting, driver.loadKernel(nothing))
    first.open()
    assert.ok(thrownBy(() => driver.synchronizeStream(failing)) instanceof KernelError)
  } finally {
    first.open()
    second.open()
  }
  driver.synchronizeStream(waiting)
})

test("a broken stream still waits, so that the memory it frees is reused only afterwards", () => {
  using driver = open()
  const broken = driver.createStream(0)
  const held = driver.createStream(0)
  const latch = new Latch(driver)
  try {
    latch.hold(held)
    const event = driver.createEvent(false)
    driver.recordEvent(event, held)
    launch(driver, broken, driver.loadKernel(boom))
    driver.waitEvent(broken, event)
    const after = driver.createEvent(false)
    driver.recordEvent(after, broken)
    const third = driver.createStream(0)
    driver.waitEvent(third, after)
    assert.equal(driver.queryStream(third), false)
  } finally {
    latch.open()
  }
  assert.ok(thrownBy(() => driver.synchronizeStream(broken)) instanceof KernelError)
})

test("a broken stream's slot is reused clean, and events of the stream stay valid", () => {
  using driver = open()
  const event = driver.createEvent(false)
  const stream = driver.createStream(0)
  launch(driver, stream, driver.loadKernel(boom))
  driver.recordEvent(event, stream)
  const error = thrownBy(() => driver.synchronizeStream(stream))
  driver.destroyStream(stream)
  for (let round = 0; round < 8; round++) {
    const next = driver.createStream(0)
    launch(driver, next, driver.loadKernel(nothing))
    driver.synchronizeStream(next)
    assert.equal(
      thrownBy(() => driver.queryEvent(event)),
      error,
    )
    driver.destroyStream(next)
  }
  const waiting = driver.createStream(0)
  driver.waitEvent(waiting, event)
  const broken = thrownBy(() => driver.synchronizeStream(waiting))
  assert.ok(broken instanceof KernelError)
  assert.equal(broken.cause, error)
})

test("many broken streams, created and destroyed without a query, leave nothing behind", () => {
  using driver = open()
  const kernel = driver.loadKernel(boom)
  const event = driver.createEvent(false)
  const watcher = driver.createStream(0)
  for (let round = 0; round < 500; round++) {
    const stream = driver.createStream(0)
    launch(driver, stream, kernel)
    driver.recordEvent(event, stream)
    driver.waitEvent(watcher, event)
    driver.destroyStream(stream)
  }
  assert.ok(thrownBy(() => driver.synchronizeStream(watcher)) instanceof KernelError)
  const clean = driver.createStream(0)
  launch(driver, clean, driver.loadKernel(nothing))
  driver.synchronizeStream(clean)
})

test("a kernel may throw any value", () => {
  using driver = open()
  const cases: [body: string, message: RegExp][] = [
    ["const deeper = () => deeper() + 1; deeper()", /RangeError: Maximum call stack/],
    ["throw 42", /it threw 42/],
    ["throw null", /it threw null/],
    ["throw { toString() { throw 1 } }", /cannot be shown/],
    ["throw Object.create(null)", /cannot be shown/],
    ["return { then() {} }", /returned a promise/],
    ["return Promise.resolve()", /returned a promise/],
    ["return [1, 2][Symbol.iterator]()", /returned an iterator/],
    ["args.length.x.y", /TypeError/],
  ]
  for (const [body, message] of cases) {
    const stream = driver.createStream(0)
    launch(driver, stream, driver.loadKernel(source("bad", [], body)))
    const error = thrownBy(() => driver.synchronizeStream(stream))
    assert.ok(error instanceof KernelError)
    assert.match(error.message, message)
    driver.destroyStream(stream)
  }
})

test("a kernel that cannot be loaded breaks its stream", () => {
  using driver = open()
  for (const text of [
    "export const other = 1",
    "export function k( {",
    "throw new Error('at load')",
    "import 'node:nope'",
  ]) {
    const stream = driver.createStream(0)
    const kernel = driver.loadKernel(kernelOf("k", { source: text }))
    launch(driver, stream, kernel)
    assert.ok(thrownBy(() => driver.synchronizeStream(stream)) instanceof KernelError)
  }
})
