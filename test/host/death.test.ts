import assert from "node:assert/strict"
import { test } from "node:test"
import { AuxstreamError, DeviceLostError } from "../../src/runtime/errors.js"
import { completed, launch, never, open, runAlone, source, thrownBy } from "./device.js"

const exit = source("leave", [], "process.exit(3)")
const nothing = source("nothing", [], "")

test("a blocked synchronisation ends when a kernel ends its worker, and every later call says so", () => {
  using driver = open()
  const stream = driver.createStream(0)
  const address = driver.allocate(256, stream, never)
  const kernel = driver.loadKernel(exit)
  launch(driver, stream, kernel)
  const loss = thrownBy(() => driver.synchronizeStream(stream))
  assert.ok(loss instanceof DeviceLostError)
  assert.match(loss.message, /"leave"/)
  assert.ok(loss.cause instanceof Error)
  for (const call of [
    () => driver.createStream(0),
    () => driver.queryStream(stream),
    () => driver.synchronizeStream(stream),
    () => driver.createEvent(false),
    () => driver.allocate(1, stream, never),
    () => driver.drainFrees(),
    () => driver.memoryUsage(),
    () => driver.allocatePinned(1),
    () => driver.copy(address, address, 1, stream),
    () => driver.upload(address, new Uint8Array(1), stream),
    () => driver.fill(address, new Uint8Array(1), 1, stream),
    () => driver.loadKernel(nothing),
    () => launch(driver, stream, kernel),
  ]) {
    assert.equal(thrownBy(call), loss)
  }
  driver.free(address, stream, { slot: 0, tick: 0 })
  driver.destroyStream(stream)
})

test("a pending completion is called with the loss", async () => {
  using driver = open()
  const stream = driver.createStream(0)
  const other = driver.createStream(0)
  launch(driver, stream, driver.loadKernel(exit))
  const event = driver.createEvent(false)
  driver.recordEvent(event, stream)
  driver.waitEvent(other, event)
  const [first, second] = await Promise.allSettled([completed(driver, stream), completed(driver, other)])
  assert.ok(first.status === "rejected" && first.reason instanceof DeviceLostError)
  assert.ok(second.status === "rejected" && second.reason === first.reason)
  assert.equal(
    thrownBy(() => driver.queryStream(other)),
    first.reason,
  )
})

test("a query in a loop that never lets the event loop turn ends, too", () => {
  using driver = open()
  const stream = driver.createStream(0)
  launch(driver, stream, driver.loadKernel(exit))
  const loss = thrownBy(() => {
    const end = performance.now() + 10_000
    while (!driver.queryStream(stream) && performance.now() < end);
  })
  assert.ok(loss instanceof DeviceLostError)
})

test("preparing a kernel whose module ends the worker rejects", async () => {
  using driver = open()
  const kernel = { ...nothing, host: { source: "process.exit(1); export function nothing() {}" } }
  await assert.rejects(driver.prepareKernel(kernel), (error) => error instanceof AuxstreamError)
})

test("a worker that runs out of memory loses the device, whether the thread is blocked or not", () => {
  const body = `
    const hoard = source("hoard", [], "const all = []; for (;;) all.push(new Array(1e5).fill(0.5))")
    for (const blocked of [true, false]) {
      const driver = open()
      const stream = driver.createStream(0)
      launch(driver, stream, driver.loadKernel(hoard))
      try {
        if (blocked) driver.synchronizeStream(stream)
        else await completed(driver, stream)
      } catch (error) {
        console.log(error.code)
      }
      driver.close()
    }`
  const run = runAlone(body, ["--max-old-space-size=64"])
  assert.equal(run.stderr.includes("Uncaught"), false)
  assert.equal(run.stdout, "AUX_DEVICE_LOST\nAUX_DEVICE_LOST\n")
  assert.equal(run.status, 0)
})

test("an error outside every kernel call ends the worker and loses the device", async () => {
  using driver = open()
  const stream = driver.createStream(0)
  launch(driver, stream, driver.loadKernel(source("late", [], "setImmediate(() => { throw new Error('late') })")))
  driver.synchronizeStream(stream)
  const end = performance.now() + 10_000
  let loss: unknown
  while (loss === undefined && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    loss = thrownBy(() => driver.queryStream(stream))
  }
  assert.ok(loss instanceof DeviceLostError)
  assert.ok(loss.cause instanceof Error)
  assert.equal(loss.cause.message, "late")
})

test("a device can be opened again after a loss", () => {
  for (let round = 0; round < 2; round++) {
    using driver = open()
    const stream = driver.createStream(0)
    launch(driver, stream, driver.loadKernel(nothing))
    driver.synchronizeStream(stream)
    launch(driver, stream, driver.loadKernel(exit))
    assert.ok(thrownBy(() => driver.synchronizeStream(stream)) instanceof DeviceLostError)
  }
})
