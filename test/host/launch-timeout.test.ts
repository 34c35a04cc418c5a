import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as pause } from "node:timers/promises"
import { DeviceLostError, KernelError } from "../../src/common/errors.js"
import { captureGraph, defineKernel, type Device, type Kernel, openDevice } from "../../src/index.js"
import { withEnvironment } from "../support/environment.js"
import { thrownBy } from "../support/errors.js"
import { affine, once, over } from "../support/kernels.js"
import { wasmModule } from "./wasm.js"
import { runAlone } from "./device.js"

const limit = 100

function opened(launchTimeout = limit): Device {
  return openDevice("host", { threads: 2, launchTimeout })
}

function kernelOf(body: string): Kernel<readonly []> {
  return defineKernel({
    name: "endless",
    signature: [],
    host: { source: `export function endless() { ${body} }` },
  })
}

/** `loop; br 0; end` */
const forever = wasmModule({ parameters: [], code: [0x03, 0x40, 0x0c, 0, 0x0b], names: ["endless"] })
const loop = kernelOf("for (;;);")

/** Checks that the device is lost because of the kernel `endless`, and that every later call says so. */
function checkLost(device: Device, loss: unknown, where = /aux of host/): void {
  assert.ok(loss instanceof DeviceLostError, String(loss))
  const [, kernel, stream] =
    /: kernel "(.*)" ran on (.*) for longer than `launchTimeout` \(100 ms\)\./.exec(loss.message) ?? []
  assert.equal(kernel, "endless", loss.message)
  assert.match(stream ?? "", where)
  assert.ok(loss.cause instanceof KernelError)
  assert.equal(loss.cause.kernel, "endless")
  for (const call of [() => device.synchronize(), () => device.zeros("int32", 1), () => device.createStream()]) {
    assert.throws(call, (error) => error instanceof DeviceLostError && error.cause === loss.cause)
  }
}

const blocking = {
  "a loop": loop,
  WebAssembly: defineKernel({ name: "endless", signature: [], host: { wasm: forever } }),
}
for (const [what, kernel] of Object.entries(blocking)) {
  test(`launchTimeout: ${what} that never ends loses the device, and ends a blocked synchronize()`, () => {
    using device = opened()
    const stream = device.createStream({ name: "aux" })
    kernel.launch({ ...once, stream })
    checkLost(
      device,
      thrownBy(() => stream.synchronize()),
    )
  })
}

const pending = {
  "a loop that allocates": kernelOf("for (let all = []; ; all = [all.length]);"),
  "a thread that waits for nothing": kernelOf("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"),
}
for (const [what, kernel] of Object.entries(pending)) {
  test(`launchTimeout: ${what} loses the device, and rejects pending promises`, async () => {
    using device = opened()
    using x = device.full("int32", 4, 1)
    const stream = device.createStream({ name: "aux" })
    kernel.launch({ ...once, stream })
    const after = stream.record()
    const other = device.createStream()
    other.wait(after)
    const promises = [stream.completed(), after.completed(), other.run(() => x.read()), device.completed()]
    const [first, ...others] = await Promise.allSettled(promises)
    assert.ok(first?.status === "rejected" && first.reason instanceof DeviceLostError)
    checkLost(device, first.reason)
    for (const outcome of others) {
      assert.ok(outcome.status === "rejected" && outcome.reason instanceof DeviceLostError)
      assert.equal(outcome.reason.cause, first.reason.cause)
    }
  })
}

test("launchTimeout: a device that no call waits for is lost, too", async () => {
  using device = opened()
  const stream = device.createStream({ name: "aux" })
  loop.launch({ ...once, stream })
  let loss: unknown
  while (loss === undefined) {
    await pause(20)
    try {
      device.createEvent()
    } catch (error) {
      loss = error
    }
  }
  checkLost(device, loss)
})

test("launchTimeout: a loop of queries that never lets the event loop turn ends", () => {
  using device = opened()
  const stream = device.createStream({ name: "aux" })
  loop.launch({ ...once, stream })
  checkLost(
    device,
    thrownBy(() => {
      while (!stream.query());
    }),
  )
})

test("launchTimeout: the error of a launch inside a graph names the stream, or says that it is a branch", () => {
  using device = opened()
  using side = device.createStream()
  using x = device.full("int32", 4, 1)
  const root = device.createStream({ name: "root" })
  const graph = captureGraph(
    () => {
      const inside = device.createEvent().record()
      side.wait(inside)
      loop.launch({ ...once, stream: side })
      affine.launch(over(4), 4, x, 2, 1)
      inside.record(side).wait()
    },
    { device },
  )
  graph.launch(root)
  checkLost(
    device,
    thrownBy(() => root.synchronize()),
    /^(root of host|a branch of a graph)$/,
  )
})

test("launchTimeout: a device that was disposed of ends its endless kernels and rejects promises", async () => {
  const device = opened()
  const stream = device.createStream({ name: "aux" })
  loop.launch({ ...once, stream })
  const promise = stream.completed()
  device.dispose()
  await assert.rejects(promise, DeviceLostError)
})

test("launchTimeout: a worker that has nothing to do after a launch runs no launch", async () => {
  using device = opened(1000)
  using x = device.full("int32", 4, 1)
  affine.launch(over(4), 4, x, 2, 1)
  device.synchronize()
  await pause(1500)
  affine.launch(over(4), 4, x, 2, 1)
  assert.deepEqual(x.readSync(), new Int32Array(4).fill(7))
})

test("launchTimeout: a program that stays within the limit runs as without one", async () => {
  using device = opened(60_000)
  using x = device.full("int32", 4, 1)
  using aux = device.createStream()
  affine.launch(over(4), 4, x, 2, 1)
  aux.wait(device.defaultStream)
  const graph = captureGraph(() => affine.launch(over(4), 4, x, 2, 1), { device })
  graph.launch(aux)
  assert.deepEqual(await aux.run(() => x.read()), new Int32Array(4).fill(7))
})

test("launchTimeout: no thread stays, and the process ends with its own exit code, whether the loss is caught or not", () => {
  const program = (end: string): string => `
    const { readdirSync } = await import("node:fs")
    const { hostBackend } = await import(${JSON.stringify(new URL("../../src/host/backend.js", import.meta.url).href)})
    const driver = hostBackend.open(0, { threads: 2, launchTimeout: 100 })
    const stream = driver.streams.create(0, "aux")
    launch(driver, stream, driver.kernels.load(source("endless", [], "for (;;);")))
    ${end}`
  const caught = runAlone(
    program(`
    const threads = () => (process.platform === "linux" ? readdirSync("/proc/self/task").length : 0)
    const running = threads()
    await completed(driver, stream).catch((error) => console.log(error.code))
    // The launch has started one thread. If it stayed, this would never end.
    while (threads() > 0 && threads() >= running) await new Promise((resolve) => setTimeout(resolve, 10))`),
  )
  assert.deepEqual([caught.stdout, caught.stderr, caught.status], ["AUX_DEVICE_LOST\n", "", 0])
  const uncaught = runAlone(program("driver.streams.synchronize(stream)"))
  assert.match(uncaught.stderr, /DeviceLostError: The host device is lost: kernel "endless" ran on aux for longer/)
  assert.equal(uncaught.status, 1)
})

test("launchTimeout: AUXSTREAM_HOST_LAUNCH_TIMEOUT sets it, unless the option does", () => {
  withEnvironment({ AUXSTREAM_HOST_LAUNCH_TIMEOUT: String(limit) }, () => {
    using device = openDevice("host", { threads: 2 })
    const stream = device.createStream({ name: "aux" })
    loop.launch({ ...once, stream })
    checkLost(
      device,
      thrownBy(() => stream.synchronize()),
    )
  })
  withEnvironment({ AUXSTREAM_HOST_LAUNCH_TIMEOUT: "soon" }, () => opened().dispose())
  for (const value of ["0", "-1", "2147483648", "soon", "1.5"]) {
    withEnvironment({ AUXSTREAM_HOST_LAUNCH_TIMEOUT: value }, () => {
      const error = thrownBy(() => openDevice("host"))
      assert.match(String(error), /variable AUXSTREAM_HOST_LAUNCH_TIMEOUT must be an integer from 1 to 2147483647; got/)
    })
  }
})
