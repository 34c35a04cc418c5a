import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as turn } from "node:timers/promises"
import { AuxstreamError, DeviceLostError, KernelError } from "../../src/common/errors.js"
import { kernelOf, completed, launch, never, open, runAlone, source, thrownBy } from "./device.js"

const exit = source("leave", [], "process.exit(3)")
const nothing = source("nothing", [], "")

test("a blocked synchronize throws when a kernel ends its worker, and so does every later call", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const address = driver.memory.allocate(256, stream, never)
  const kernel = driver.kernels.load(exit)
  launch(driver, stream, kernel)
  const loss = thrownBy(() => driver.streams.synchronize(stream))
  assert.ok(loss instanceof DeviceLostError)
  assert.match(loss.message, /"leave"/)
  assert.ok(loss.cause instanceof Error)
  for (const call of [
    () => driver.streams.create(0),
    () => driver.streams.query(stream),
    () => driver.streams.synchronize(stream),
    () => driver.events.create(false),
    () => driver.memory.allocate(1, stream, never),
    () => driver.memory.drainFrees(),
    () => driver.memory.usage(),
    () => driver.memory.allocatePinned(1),
    () => driver.memory.copy(address, address, 1, stream),
    () => driver.memory.upload(address, new Uint8Array(1), stream),
    () => driver.memory.fill(address, new Uint8Array(1), 1, stream),
    () => driver.kernels.load(nothing),
    () => launch(driver, stream, kernel),
  ]) {
    assert.equal(thrownBy(call), loss)
  }
  driver.memory.free(address, stream, { slot: 0, tick: 0 })
  driver.streams.destroy(stream)
})

test("pending completions are called with the error of the loss", async () => {
  using driver = open()
  const stream = driver.streams.create(0)
  const other = driver.streams.create(0)
  launch(driver, stream, driver.kernels.load(exit))
  const event = driver.events.create(false)
  driver.events.record(event, stream)
  driver.streams.wait(other, event)
  const [first, second] = await Promise.allSettled([completed(driver, stream), completed(driver, other)])
  assert.ok(first.status === "rejected" && first.reason instanceof DeviceLostError)
  assert.ok(second.status === "rejected" && second.reason === first.reason)
  assert.equal(
    thrownBy(() => driver.streams.query(other)),
    first.reason,
  )
})

test("a loop of queries ends even if it never lets the event loop turn", () => {
  using driver = open()
  const stream = driver.streams.create(0)
  launch(driver, stream, driver.kernels.load(exit))
  const loss = thrownBy(() => {
    const end = performance.now() + 60_000
    while (!driver.streams.query(stream) && performance.now() < end);
  })
  assert.ok(loss instanceof DeviceLostError)
})

test("prepare rejects if the kernel's module ends the worker", async () => {
  using driver = open()
  const kernel = kernelOf("nothing", { source: "process.exit(1); export function nothing() {}" })
  await assert.rejects(driver.kernels.prepare(kernel), (error) => error instanceof AuxstreamError)
})

test("a worker that runs out of memory loses the device, whether the thread is blocked or not", () => {
  const body = `
    const hoard = source("hoard", [], "const all = []; for (;;) all.push(new Array(1e5).fill(0.5))")
    for (const blocked of [true, false]) {
      const driver = open()
      const stream = driver.streams.create(0)
      launch(driver, stream, driver.kernels.load(hoard))
      try {
        if (blocked) driver.streams.synchronize(stream)
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
    const stream = driver.streams.create(0)
    const kernel = driver.kernels.load(source("careless", [], body))
    const warnings: Error[] = []
    const note = (warning: Error) => warnings.push(warning)
    process.on("warning", note)
    while (warnings.length === 0) {
      launch(driver, stream, kernel)
      launch(driver, stream, kernel)
      driver.streams.synchronize(stream)
      await turn(5)
    }
    driver.streams.synchronize(stream)
    await turn(20)
    process.off("warning", note)
    assert.equal(warnings.length, 1)
    assert.match(String(warnings[0]), /AuxstreamWarning: .*"careless".*left behind/s)
  })
}

test("a kernel that returns a promise breaks only its stream, however the promise settles", async () => {
  using driver = open(1)
  const [stream, other] = [driver.streams.create(0), driver.streams.create(0)]
  launch(driver, stream, driver.kernels.load(source("late", [], "return Promise.reject(new Error('late'))")))
  await assert.rejects(completed(driver, stream), KernelError)
  launch(driver, other, driver.kernels.load(source("idle", [], "return setTimeout(() => {}, 1), undefined")))
  for (let round = 0; round < 5; round++) {
    await turn(10)
    launch(driver, other, driver.kernels.load(nothing))
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
      const stream = driver.streams.create(0)
      launch(driver, stream, driver.kernels.load(source("last", [], ${JSON.stringify(text)})))
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
      const wait = index === 0 ? "driver.streams.synchronize(stream)" : "await completed(driver, stream)"
      const run = runAlone(
        `const driver = open()
        const stream = driver.streams.create(0)
        launch(driver, stream, driver.kernels.load(source("last", [], ${JSON.stringify(text)})))
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
  const stream = driver.streams.create(0)
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
  launch(driver, stream, await driver.kernels.prepare(kernel))
  await completed(driver, stream)
  while (warnings.length === 0) await turn(5)
  launch(driver, stream, driver.kernels.load(nothing))
  driver.streams.synchronize(stream)
})

test("a device can be opened again after a loss", () => {
  for (let round = 0; round < 2; round++) {
    using driver = open()
    const stream = driver.streams.create(0)
    launch(driver, stream, driver.kernels.load(nothing))
    driver.streams.synchronize(stream)
    launch(driver, stream, driver.kernels.load(exit))
    assert.ok(thrownBy(() => driver.streams.synchronize(stream)) instanceof DeviceLostError)
  }
})
