import assert from "node:assert/strict"
import { test } from "node:test"
import { KernelError } from "../../src/common/errors.js"
import { kernelOf, completed, Latch, launch, never, open, source, thrownBy } from "./device.js"

const boom = source("boom", [], "throw new TypeError('no good')")
const count = source("count", ["inout int32*"], "args[0][0]++")
const nothing = source("nothing", [], "")

test("a kernel that throws breaks its stream: every call throws the same error, and later work is skipped", async () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const latch = new Latch(driver)
  const counter = driver.memory.allocatePinned(4)
  const words = new Int32Array(counter.buffer, counter.byteOffset, 1)
  const range = { address: counter.address, length: 1 }
  const kernel = driver.kernels.load(count)
  const before = driver.events.create(false)
  try {
    latch.hold(stream)
    launch(driver, stream, kernel, range)
    driver.events.record(before, stream)
    launch(driver, stream, driver.kernels.load(boom))
    launch(driver, stream, kernel, range)
    driver.memory.fill(counter.address, Uint8Array.of(9), 4, stream)
  } finally {
    latch.open()
  }
  const error = thrownBy(() => driver.streams.synchronize(stream))
  assert.ok(error instanceof KernelError)
  assert.equal(error.code, "AUX_KERNEL_FAILED")
  assert.equal(error.kernel, "boom")
  assert.match(error.message, /TypeError: no good/)
  assert.match(error.kernelStack, /no good/)
  assert.ok(error.kernelStack.length < 2000)
  assert.equal(words[0], 1)
  assert.equal(
    thrownBy(() => driver.streams.query(stream)),
    error,
  )
  assert.equal(
    thrownBy(() => launch(driver, stream, kernel, range)),
    error,
  )
  assert.equal(
    thrownBy(() => driver.memory.copy(counter.address, counter.address, 4, stream)),
    error,
  )
  assert.equal(await completed(driver, stream).catch((reason: unknown) => reason), error)
  assert.equal(driver.events.query(before), true)
  driver.events.synchronize(before)
  const address = driver.memory.allocate(256, stream, never)
  driver.memory.free(address, stream, { slot: 0, tick: 1 })
})

test("streams that wait for a failed one, directly or not, break with it as the cause; no other stream breaks", () => {
  using driver = open()
  const streams = Array.from({ length: 4 }, () => driver.streams.create(0))
  const [first = 0, second = 0, third = 0, other = 0] = streams
  const event = driver.events.create(false)
  const early = driver.events.create(false)
  driver.events.record(early, first)
  launch(driver, first, driver.kernels.load(boom))
  driver.events.record(event, first)
  driver.streams.wait(second, event)
  driver.events.record(event, second)
  driver.streams.wait(third, event)
  driver.streams.wait(other, early)
  launch(driver, other, driver.kernels.load(nothing))
  const error = thrownBy(() => driver.streams.synchronize(third))
  const root = thrownBy(() => driver.streams.synchronize(first))
  assert.ok(error instanceof KernelError)
  assert.equal(error.cause, root)
  const middle = thrownBy(() => driver.streams.synchronize(second))
  assert.ok(middle instanceof KernelError)
  assert.equal(middle.cause, root)
  driver.streams.synchronize(other)
  driver.events.record(event, first)
  driver.streams.wait(other, event)
  assert.ok(thrownBy(() => driver.streams.synchronize(other)) instanceof KernelError)
})

test("a wait for a point before the failure does not break, even if it runs after the failure", () => {
  using driver = open(3)
  const [failing, waiting] = [driver.streams.create(0), driver.streams.create(0)]
  const [first, second] = [new Latch(driver), new Latch(driver)]
  const event = driver.events.create(false)
  try {
    first.hold(failing)
    driver.events.record(event, failing)
    launch(driver, failing, driver.kernels.load(boom))
    second.hold(waiting)
    driver.streams.wait(waiting, event)
    launch(driver, waiting, driver.kernels.load(nothing))
    first.open()
    assert.ok(thrownBy(() => driver.streams.synchronize(failing)) instanceof KernelError)
  } finally {
    first.open()
    second.open()
  }
  driver.streams.synchronize(waiting)
})

test("a broken stream still waits, so that the memory it frees is reused only afterwards", () => {
  using driver = open()
  const broken = driver.streams.create(0)
  const held = driver.streams.create(0)
  const latch = new Latch(driver)
  try {
    latch.hold(held)
    const event = driver.events.create(false)
    driver.events.record(event, held)
    launch(driver, broken, driver.kernels.load(boom))
    driver.streams.wait(broken, event)
    const after = driver.events.create(false)
    driver.events.record(after, broken)
    const third = driver.streams.create(0)
    driver.streams.wait(third, after)
    assert.equal(driver.streams.query(third), false)
  } finally {
    latch.open()
  }
  assert.ok(thrownBy(() => driver.streams.synchronize(broken)) instanceof KernelError)
})

test("a broken stream's slot is reused clean, and events of the stream stay valid", () => {
  using driver = open()
  const event = driver.events.create(false)
  const stream = driver.streams.create(0)
  launch(driver, stream, driver.kernels.load(boom))
  driver.events.record(event, stream)
  const error = thrownBy(() => driver.streams.synchronize(stream))
  driver.streams.destroy(stream)
  for (let round = 0; round < 8; round++) {
    const next = driver.streams.create(0)
    launch(driver, next, driver.kernels.load(nothing))
    driver.streams.synchronize(next)
    assert.equal(
      thrownBy(() => driver.events.query(event)),
      error,
    )
    driver.streams.destroy(next)
  }
  const waiting = driver.streams.create(0)
  driver.streams.wait(waiting, event)
  const broken = thrownBy(() => driver.streams.synchronize(waiting))
  assert.ok(broken instanceof KernelError)
  assert.equal(broken.cause, error)
})

test("many broken streams, created and destroyed without a query, leave nothing behind", () => {
  using driver = open()
  const kernel = driver.kernels.load(boom)
  const event = driver.events.create(false)
  const watcher = driver.streams.create(0)
  for (let round = 0; round < 500; round++) {
    const stream = driver.streams.create(0)
    launch(driver, stream, kernel)
    driver.events.record(event, stream)
    driver.streams.wait(watcher, event)
    driver.streams.destroy(stream)
  }
  assert.ok(thrownBy(() => driver.streams.synchronize(watcher)) instanceof KernelError)
  const clean = driver.streams.create(0)
  launch(driver, clean, driver.kernels.load(nothing))
  driver.streams.synchronize(clean)
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
    const stream = driver.streams.create(0)
    launch(driver, stream, driver.kernels.load(source("bad", [], body)))
    const error = thrownBy(() => driver.streams.synchronize(stream))
    assert.ok(error instanceof KernelError)
    assert.match(error.message, message)
    driver.streams.destroy(stream)
  }
})

test("a message of ten million characters reaches the caller shortened, in the errors of waiting streams, too", () => {
  using driver = open()
  const [stream, waiting] = [driver.streams.create(0), driver.streams.create(0)]
  launch(driver, stream, driver.kernels.load(source("long", [], "throw new Error('x'.repeat(1e7))")))
  const event = driver.events.create(false)
  driver.events.record(event, stream)
  driver.streams.wait(waiting, event)
  for (const broken of [stream, waiting]) {
    const error = thrownBy(() => driver.streams.synchronize(broken))
    assert.ok(error instanceof KernelError)
    assert.match(error.message, /xxx… \(10000007 characters in all\)/)
    assert.ok(error.message.length < 3000 && error.kernelStack.length < 30_000, String(error.message.length))
    assert.match(error.kernelStack, /xxx… .*\n +at .*long/)
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
    const stream = driver.streams.create(0)
    const kernel = driver.kernels.load(kernelOf("k", { source: text }))
    launch(driver, stream, kernel)
    assert.ok(thrownBy(() => driver.streams.synchronize(stream)) instanceof KernelError)
  }
})
