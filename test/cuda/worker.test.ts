import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { onDouble } from "./device.js"

const helpers = new URL("./device.js", import.meta.url).href
const double = new URL("./double.js", import.meta.url).href
const foreignCapture = new URL("./foreign-capture.js", import.meta.url).href

/** Runs a program whose `body` is a Worker's, and whose `main` has that worker and its end at hand. Gives what it prints. */
function run(body: string, main: string): string {
  const worker = `
    import { parentPort } from "node:worker_threads"
    import { completed, kernel, Latch, launch, mark, never, noop, open, read } from "${helpers}"
    const driver = open()
    const stream = driver.createStream(0)
    ${body}`
  const program = `
    import { Worker } from "node:worker_threads"
    const worker = new Worker(new URL("data:text/javascript,${encodeURIComponent(worker)}"))
    worker.on("error", (error) => { console.error(error); process.exitCode = 1 })
    worker.on("exit", (code) => console.log("worker ended", code))
    const ended = new Promise((resolve) => worker.on("exit", resolve))
    ${main}`
  const options = { encoding: "utf8", timeout: 60_000 } as const
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", program],
    options,
  )
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, stderr)
  return stdout
}

/** The end of a main thread's program: says so once nothing is left of any device, the worker's included. */
const untilNothingIsLeft = `
  await ended
  const { untilGone } = await import("${helpers}")
  await untilGone()
  console.log("nothing left")`

/** A worker's devices are given back whole, and it ends as it should. */
function checkNothingLeft(body: string): void {
  assert.deepEqual(run(body, untilNothingIsLeft).trim().split("\n").sort(), ["nothing left", "worker ended 0"])
}

onDouble("Workers", () => {
  test("have devices of their own, beside the main thread's, and end when they are done", () => {
    const use = `
      const address = driver.allocate(256, stream, never)
      driver.upload(address, new Uint8Array([7]), stream)
      launch(driver, stream, noop)
      await completed(driver, stream)
      console.log(read(driver, address, 1, stream)[0])
      driver.free(address, stream, mark)
      driver.close()`
    const main = `
      const { completed, launch, mark, never, noop, open, read } = await import("${helpers}")
      const driver = open()
      const stream = driver.createStream(0)
      ${use}
      ${untilNothingIsLeft}`
    assert.deepEqual(run(use, main).trim().split("\n").sort(), ["7", "7", "nothing left", "worker ended 0"])
  })

  test("stay until a device that was closed with work queued has given everything back", () => {
    const body = `
      const latch = new Latch(driver).hold(stream)
      driver[Symbol.dispose]()
      setTimeout(() => latch.open(), 20).unref()`
    checkNothingLeft(body)
  })

  test("stay until a device that was closed has given everything back, though calls fail several times", () => {
    const body = `
      const { double } = await import("${double}")
      driver.allocate(1000, stream, never)
      for (let nth = 1; nth <= 5; nth++) double.fail("cuEventRecord", nth, 999)
      driver.close()`
    checkNothingLeft(body)
  })

  test("end though another library still captures a stream of a device that they have closed", () => {
    const body = `
      const { ForeignCapture } = await import("${foreignCapture}")
      driver.foreignHandle(stream)
      new ForeignCapture(stream)
      driver.close()`
    assert.equal(run(body, ""), "worker ended 0\n")
  })

  test("may end in the midst of things: by process.exit, with work queued", () => {
    const output = run(
      `new Latch(driver).hold(stream)
       parentPort.postMessage("held")
       process.exit(3)`,
      "",
    )
    assert.equal(output, "worker ended 3\n")
  })

  test("may be terminated while work is queued", () => {
    const output = run(
      `new Latch(driver).hold(stream)
       parentPort.postMessage("held")
       setInterval(() => {}, 1000)`,
      `worker.on("message", () => worker.terminate())`,
    )
    assert.equal(output, "worker ended 1\n")
  })

  test("do not keep the main thread from process.exit, work queued there or not", () => {
    const output = run(
      `new Latch(driver).hold(stream)
       parentPort.postMessage("held")
       setInterval(() => {}, 1000)`,
      `worker.on("message", () => { console.log("leaving"); process.exit(0) })`,
    )
    assert.equal(output, "leaving\n")
  })
})

test("a process ends by process.exit with a device open and a stream held up", () => {
  const { status, signal, stderr } = spawnSync(
    process.execPath,
    [
      "--input-type=module",
      "--eval",
      `import { doublePath } from "${double}"
       import { Latch, open } from "${helpers}"
       if (doublePath !== undefined) {
         const driver = open()
         new Latch(driver).hold(driver.createStream(0))
       }
       process.exit(0)`,
    ],
    { encoding: "utf8", timeout: 60_000 },
  )
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, stderr)
})
