import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as turn } from "node:timers/promises"
import { AuxstreamError, DeviceLostError, KernelError } from "../../src/common/errors.js"
import { kernelOf, completed, launch, never, open, runAlone, source, thrownBy } from "./device.js"

const exit = source("leave", [], "process.exit(3)")
const nothing = source("nothing", [], "")

test("a blocked synchronize throws when a kernel ends its worker, and so does every later call", () => {
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

test("pending completions are called with the error of the loss", async () => {
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

test("a loop of queries ends even if it never lets the event loop turn", () => {
  using driver = open()
  const stream = driver.createStream(0)
  launch(driver, stream, driver.loadKernel(exit))
  const loss = thrownBy(() => {
    const end = performance.now() + 10_000
    while (!driver.queryStream(stream) && performance.now() < end);
  })
  assert.ok(loss instanceof DeviceLostError)
})

test("prepare rejects if the kernel's module ends the worker", async () => {
  using driver = open()
  const kernel = kernelOf("nothing", { source: "process.exit(1); export function nothing() {}" })
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

/** Bodies whose code fails after the kernel has returned. */
const strays = {
  rejection: "void Promise.reject(new Error('left behind'))",
  exception: "setImmediate(() => { throw new Error('left behind') })",
}

for (const [kind, body] of Object.entries(strays)) {
  test(`a ${kind} in a kernel's code after its return breaks no stream and loses no device, but warns once`, async () => {
    using driver = open(1)
    const stream = driver.createStream(0)
    const kernel = driver.loadKernel(source("careless", [], body))
    const warnings: Error[] = []
    const note = (warning: Error) => warnings.push(warning)
    process.on("warning", note)
    while (warnings.length === 0) {
      launch(driver, stream, kernel)
      launch(driver, stream, kernel)
      driver.synchronizeStream(stream)
      await turn(5)
    }
    driver.synchronizeStream(stream)
    await turn(20)
    process.off("warning", note)
    assert.equal(warnings.length, 1)
    assert.match(String(warnings[0]), /AuxstreamWarning: .*"careless".*left behind/s)
  })
}

test("a kernel that returns a promise breaks only its stream, however the promise settles", async () => {
  using driver = open(1)
  const [stream, other] = [driver.createStream(0), driver.createStream(0)]
  launch(driver, stream, driver.loadKernel(source("late", [], "return Promise.reject(new Error('late'))")))
  await assert.rejects(completed(driver, stream), KernelError)
  launch(driver, other, driver.loadKernel(source("idle", [], "return setTimeout(() => {}, 1), undefined")))
  for (let round = 0; round < 5; round++) {
    await turn(10)
    launch(driver, other, driver.loadKernel(nothing))
    await completed(driver, other)
  }
})

test("if a worker dies after the device was closed, pending completions and the process end", () => {
  const ends = {
    exit: ["process.exit(3)", "AUX_DEVICE_LOST"],
    heap: ["const all = []; for (;;) all.push(new Array(1e5).fill(0.5))", "AUX_DEVICE_LOST"],
    "an import that never settles": ["} await new Promise(() => {}); {", "AUX_KERNEL_FAILED"],
  }
  for (const [text, code] of Object.values(ends)) {
    const run = runAlone(
      `const driver = open()
      const stream = driver.createStream(0)
      launch(driver, stream, driver.loadKernel(source("last", [], ${JSON.stringify(text)})))
      const promise = completed(driver, stream)
      driver.close()
      await promise.catch((error) => console.log(error.code))`,
      ["--max-old-space-size=64"],
    )
    assert.equal(run.stdout, `${code}\n`)
    assert.equal(run.status, 0)
  }
})

test("the error of a lost device names the cause, whether the thread is blocked or not", () => {
  const causes: [text: string, blocked: RegExp, told: RegExp][] = [
    ["process.exit(3)", /ended by process\.exit\(3\).*"last"/, /ended by process\.exit\(3\).*"last"/],
    [
      "const all = []; for (;;) all.push(new Array(1e5).fill(0.5))",
      /heap was full.*--max-old-space-size.*"last"/,
      /ran out of JavaScript heap.*--max-old-space-size.*"last"/,
    ],
  ]
  for (const [text, ...messages] of causes) {
    for (const [index, message] of messages.entries()) {
      const wait = index === 0 ? "driver.synchronizeStream(stream)" : "await completed(driver, stream)"
      const run = runAlone(
        `const driver = open()
        const stream = driver.createStream(0)
        launch(driver, stream, driver.loadKernel(source("last", [], ${JSON.stringify(text)})))
        try { ${wait} } catch (error) { console.log(error.message) }
        driver.close()`,
        ["--max-old-space-size=64"],
      )
      assert.match(run.stdout, message)
      assert.equal(run.status, 0)
    }
  }
})

test("messages that a kernel's code posts to the opening thread are ignored", async () => {
  using driver = open(1)
  const stream = driver.createStream(0)
  const text = `
    import { MessagePort, parentPort, workerData } from "node:worker_threads"
    const { postMessage } = MessagePort.prototype
    const junk = [null, undefined, 5, "failed", {}, { kind: "unknown" }]
    MessagePort.prototype.postMessage = function (message) {
      for (const item of [...junk, message]) postMessage.call(this, item)
    }
    export function k() {
      for (const item of junk) parentPort.postMessage(item)
      if (Object.values(workerData).some((value) => value !== undefined)) throw new Error("the queues can be reached")
      void Promise.reject(new Error("has something to tell"))
    }`
  const warnings: Error[] = []
  process.once("warning", (warning) => warnings.push(warning))
  const kernel = kernelOf("k", { source: text })
  launch(driver, stream, await driver.prepareKernel(kernel))
  await completed(driver, stream)
  while (warnings.length === 0) await turn(5)
  launch(driver, stream, driver.loadKernel(nothing))
  driver.synchronizeStream(stream)
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
