import assert from "node:assert/strict"
import { test } from "node:test"
import { runAlone } from "./device.js"

/** Far below the time limit of a latch. */
const SOON = 4000

test("idle workers do not keep a process alive, closed or not", () => {
  for (const end of ["driver.close()", ""]) {
    const run = runAlone(`
      const driver = open()
      const stream = driver.streams.create(0)
      launch(driver, stream, driver.kernels.load(source("nothing", [], "")))
      driver.streams.synchronize(stream)
      console.log("done")
      ${end}`)
    assert.equal(run.stdout, "done\n")
    assert.equal(run.status, 0)
    assert.ok(run.time < SOON)
  }
})

test("queued work and a detached completion do not keep a process alive; a pending completion does", () => {
  const body = (wait: string) => `
    const driver = open()
    const stream = driver.streams.create(0)
    const text = "const end = performance.now() + args[0]; while (performance.now() < end);"
    launch(driver, stream, driver.kernels.load(source("busy", ["float64"], text)), TIME)
    const event = driver.events.create(false)
    driver.events.record(event, stream)
    ${wait}`
  const settle = "driver.events.whenComplete(event, () => console.log('settled'))"
  const queued = runAlone(body("").replace("TIME", "8000"))
  assert.ok(queued.time < SOON)
  assert.equal(queued.status, 0)
  const detached = runAlone(body(`${settle}()`).replace("TIME", "8000"))
  assert.ok(detached.time < SOON)
  assert.equal(detached.stdout, "")
  const pending = runAlone(body(settle).replace("TIME", "300"))
  assert.equal(pending.stdout, "settled\n")
  const closed = runAlone(body(`${settle}; driver.close()`).replace("TIME", "300"))
  assert.equal(closed.stdout, "settled\n")
})

test("process.exit() ends a process whose workers sleep, spin, compute or load", () => {
  const kernels = ["", "for (;;);", "for (;;) Math.random()", "await new Promise(() => {})"]
  for (const text of kernels) {
    const run = runAlone(`
      const driver = open()
      const text = ${JSON.stringify(text)}
      const host = { source: text.startsWith("await") ? text + "; export function k() {}" : "export function k() {" + text + "}" }
      for (let index = 0; index < 3; index++) {
        const stream = driver.streams.create(0)
        launch(driver, stream, driver.kernels.load(kernelOf("k", host)))
      }
      setTimeout(() => process.exit(7), 100)`)
    assert.equal(run.status, 7)
    assert.ok(run.time < SOON)
    assert.equal(run.stderr, "")
  }
})

test("work queued before a long loop of the opening thread is done after it, including waits between streams", () => {
  const run = runAlone(`
    const driver = open()
    const one = driver.streams.create(0), two = driver.streams.create(0)
    const memory = driver.memory.allocatePinned(4)
    const words = new Int32Array(memory.buffer, memory.byteOffset, 1)
    const count = driver.kernels.load(source("count", ["inout int32*"], "args[0][0]++"))
    const event = driver.events.create(false)
    for (let index = 0; index < 1000; index++) {
      const [stream, other] = index % 2 === 0 ? [one, two] : [two, one]
      launch(driver, stream, count, { address: memory.address, length: 1 })
      driver.events.record(event, stream)
      driver.streams.wait(other, event)
    }
    const end = performance.now() + 10000
    while (Atomics.load(words, 0) < 1000 && performance.now() < end);
    console.log(words[0])`)
  assert.equal(run.stdout, "1000\n")
})

test("output of kernels appears", () => {
  const run = runAlone(`
    const driver = open()
    const stream = driver.streams.create(0)
    launch(driver, stream, driver.kernels.load(source("hello", [], "console.log('hello')")))
    await completed(driver, stream)
    await new Promise((resolve) => setTimeout(resolve, 100))`)
  assert.equal(run.stdout, "hello\n")
})

test("a device works inside a Worker, and ends with it", () => {
  const run = runAlone(`
    const { Worker, isMainThread } = await import("node:worker_threads")
    const text = \`
      import { open, source, launch, completed } from "${new URL("./device.js", import.meta.url).href}"
      const driver = open()
      const stream = driver.streams.create(0)
      const kernel = driver.kernels.load(source("nothing", [], ""))
      launch(driver, stream, kernel)
      driver.streams.synchronize(stream)
      launch(driver, stream, kernel)
      await completed(driver, stream)
      console.log("done")\`
    const worker = new Worker(new URL("data:text/javascript," + encodeURIComponent(text)))
    worker.on("exit", (code) => console.log("exit", code))`)
  assert.equal(run.stdout, "done\nexit 0\n")
})

test("a completion callback that throws does not stop the others", () => {
  const run = runAlone(`
    process.on("uncaughtException", (error) => console.log(error.message))
    const driver = open()
    const stream = driver.streams.create(0)
    launch(driver, stream, driver.kernels.load(source("nothing", [], "")))
    const event = driver.events.create(false)
    driver.events.record(event, stream)
    driver.events.whenComplete(event, () => { throw new Error("thrown") })
    driver.events.whenComplete(event, () => setTimeout(() => console.log("second"), 20))`)
  assert.equal(run.stdout, "thrown\nsecond\n")
})
