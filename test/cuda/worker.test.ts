import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { onDouble } from "./device.js"

const helpers = new URL("./device.js", import.meta.url).href
const double = new URL("./double.js", import.meta.url).href
const foreignCapture = new URL("./foreign-capture.js", import.meta.url).href

/** Runs a program: `body` runs in a Worker, `main` gets the worker, its end and its first message. @returns the output */
function run(body: string, main: string): string {
  const worker = `
    import { parentPort } from "node:worker_threads"
    import { completed, kernel, Latch, launch, mark, never, noop, open, read } from "${helpers}"
    const driver = open()
    const stream = driver.streams.create(0)
    ${body}`
  const program = `
    import { Worker } from "node:worker_threads"
    const source = "data:text/javascript,${encodeURIComponent(worker)}"
    const worker = new Worker(new URL(source))
    worker.on("error", (error) => { console.error(error); process.exitCode = 1 })
    worker.on("exit", (code) => console.log("worker ended", code))
    const ended = new Promise((resolve) => worker.on("exit", resolve))
    const ready = new Promise((resolve) => worker.once("message", resolve))
    ${main}`
  const options = { encoding: "utf8", timeout: 300_000 } as const
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", program],
    options,
  )
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, stderr)
  return stdout
}

/** The end of a main thread's program: prints once nothing is left of any device, the worker's included. */
const untilNothingIsLeft = `
  await ended
  const { untilGone } = await import("${helpers}")
  await untilGone()
  console.log("nothing left")`

/** Everything of a worker's devices is freed, and the worker ends normally. */
function checkNothingLeft(body: string): void {
  assert.deepEqual(run(body, untilNothingIsLeft).trim().split("\n").sort(), ["nothing left", "worker ended 0"])
}

onDouble("Workers", () => {
  test("have their own devices beside the main thread's, and end when they are done", () => {
    const use = `
      const address = driver.memory.allocate(256, stream, never)
      driver.memory.upload(address, new Uint8Array([7]), stream)
      launch(driver, stream, noop)
      await completed(driver, stream)
      console.log(read(driver, address, 1, stream)[0])
      driver.memory.free(address, stream, mark)
      driver.close()`
    const main = `
      const { completed, launch, mark, never, noop, open, read } = await import("${helpers}")
      const driver = open()
      const stream = driver.streams.create(0)
      ${use}
      ${untilNothingIsLeft}`
    assert.deepEqual(run(use, main).trim().split("\n").sort(), ["7", "7", "nothing left", "worker ended 0"])
  })

  test("stay alive until a device closed with queued work has released everything", () => {
    const body = `
      const latch = new Latch(driver).hold(stream)
      driver[Symbol.dispose]()
      setTimeout(() => latch.open(), 20).unref()`
    checkNothingLeft(body)
  })

  test("stay alive until a closed device has released everything, even if calls fail several times", () => {
    const body = `
      const { double } = await import("${double}")
      driver.memory.allocate(1000, stream, never)
      for (let nth = 1; nth <= 5; nth++) double.fail("cuEventRecord", nth, 999)
      driver.close()`
    checkNothingLeft(body)
  })

  test("end even if another library still captures a stream of a device that they have closed", () => {
    const body = `
      const { ForeignCapture } = await import("${foreignCapture}")
      driver.streams.foreignHandle(stream)
      new ForeignCapture(stream)
      driver.close()`
    assert.equal(run(body, ""), "worker ended 0\n")
  })

  test("may end at any time: by process.exit, with queued work", () => {
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

  test("do not keep the main thread from process.exit, with or without queued work", () => {
    const output = run(
      `new Latch(driver).hold(stream)
       parentPort.postMessage("held")
       setInterval(() => {}, 1000)`,
      `worker.on("message", () => { console.log("leaving"); process.exit(0) })`,
    )
    assert.equal(output, "leaving\n")
  })

  /** Opens a device with memory of every kind, and work that runs or is over. */
  const owning = `
    for (let i = 0; i < 3; i++) driver.memory.allocate(2 ** 20 * (i + 1), stream, never)
    for (const mebibytes of [1, 40]) driver.memory.allocatePinned(mebibytes * 2 ** 20)
    driver.memory.upload(driver.memory.allocate(2 ** 16, stream, never), new Uint8Array(2 ** 16), stream)
    launch(driver, stream, noop)
    driver.streams.destroy(driver.streams.create(0))
    driver.graphs.beginCapture(stream)
    launch(driver, stream, noop)
    driver.graphs.endCapture(stream, undefined, false)
    driver.graphs.beginCapture(driver.streams.create(0))
    driver.streams.synchronize(stream)`

  const endings = [
    ["ends with its device open", "parentPort.postMessage('ready'); parentPort.close()", ""],
    ["ends by process.exit", "parentPort.postMessage('ready'); setTimeout(() => process.exit(0), 20)", ""],
    ["is terminated", "parentPort.postMessage('ready'); setInterval(() => {}, 1000)", "await worker.terminate()"],
  ] as const
  for (const [how, body, end] of endings) {
    const waited = `
      await ready
      ${end}
      await ended`

    test(`one that ${how} leaves nothing once another thread opens the device`, () => {
      const main = `
        ${waited}
        const { open, untilGone } = await import("${helpers}")
        open().close()
        await untilGone()
        console.log("nothing left")`
      assert.match(run(owning + "\n" + body, main), /nothing left/)
    })

    test(`one that ${how} leaves no device memory once another thread disposes of a device, even if a third one is busy`, () => {
      const main = `
        const { Latch, open } = await import("${helpers}")
        const { double } = await import("${double}")
        const [keeper, driver] = [open(), open()]
        ${waited}
        const before = double.alive()
        const latch = new Latch(keeper).hold(keeper.streams.create(0))
        const waits = double.waits()
        driver.close()
        while (double.alive().pools > 1) await new Promise((resolve) => setTimeout(resolve, 1))
        const { allocations, streams } = double.alive()
        console.log("left", before.allocations > 0, allocations, streams, double.waits() - waits)
        latch.open()
        keeper[Symbol.dispose]()
        const { untilGone } = await import("${helpers}")
        await untilGone()
        console.log("nothing left")`
      // One that ends by itself may end before the devices here are opened, and opening them releases what it left.
      const left = end === "" ? /left (true|false) 0 1 0\nnothing left/ : /left true 0 1 0\nnothing left/
      assert.match(run(owning + "\n" + body, main), left)
    })
  }

  test("one that is terminated leaves no device memory if the thread that started it has the device open", () => {
    const main = `
      await ready
      await worker.terminate()
      await ended
      const { open, untilGone } = await import("${helpers}")
      const { double } = await import("${double}")
      const driver = open() // This device frees the first Worker's leftovers.
      const { allocations } = double.alive()
      const second = new Worker(new URL(source))
      await new Promise((resolve) => second.once("message", resolve))
      console.log("more", double.alive().allocations > allocations)
      await second.terminate()
      console.log("left", double.alive().allocations - allocations)
      driver.close()
      await untilGone()`
    const body = `
      driver.memory.allocate(2 ** 20, stream, never)
      driver.streams.synchronize(stream)
      parentPort.postMessage("ready")
      setInterval(() => {}, 1000)`
    assert.match(run(body, main), /more true\nleft 0/)
  })

  test("one that is terminated leaves nothing even if its work ends while another thread looks whether it is over", () => {
    const body = `
      driver.memory.allocate(2 ** 20, stream, never)
      driver.streams.synchronize(stream)
      parentPort.postMessage("ready")
      setInterval(() => {}, 1000)`
    const main = `
      const { open, untilGone } = await import("${helpers}")
      const { double } = await import("${double}")
      await ready
      for (const nth of [1, 2, 3]) {
        const next = new Worker(new URL(source))
        await new Promise((resolve) => next.once("message", resolve))
        await next.terminate()
        const notReady = 600
        double.fail("cuStreamQuery", nth, notReady) // This look finds work, and the next one does not.
        open().close()
        double.failNothing()
      }
      await worker.terminate()
      await ended
      open().close()
      await untilGone()
      console.log("nothing left")`
    assert.match(run(body, main), /nothing left/)
  })

  test("one that is terminated leaves nothing even if the driver refuses to free its memory at first", () => {
    const body = `
      driver.memory.allocate(2 ** 20, stream, never)
      driver.streams.synchronize(stream)
      parentPort.postMessage("ready")
      setInterval(() => {}, 1000)`
    const main = `
      const { open, untilGone } = await import("${helpers}")
      const { double } = await import("${double}")
      await ready
      await worker.terminate()
      await ended
      const { allocations } = double.alive()
      double.fail("cuStreamCreateWithPriority", 1, 999)
      const driver = open()
      console.log("kept", double.failuresLeft(), double.alive().allocations === allocations)
      driver.close()
      await untilGone()
      console.log("nothing left")`
    assert.match(run(body, main), /kept 0 true\n[^]*nothing left/)
  })

  test("one that ends while its work still runs: its memory stays until that is over", () => {
    const body = `
      driver.memory.allocate(1000, stream, never)
      new Latch(driver).hold(stream)
      parentPort.postMessage(driver.memory.allocatePinned(4096).address)
      setInterval(() => {}, 1000)`
    const main = `
      const { open, untilGone } = await import("${helpers}")
      const { double, native } = await import("${double}")
      await ready
      await worker.terminate()
      await ended
      const before = double.alive()
      const driver = open()
      console.log("kept", double.alive().allocations === before.allocations, double.waits())
      native("double_open_latches", "void", [])()
      while (double.alive().pools > 1) {
        open().close()
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      driver.close()
      await untilGone()
      console.log("nothing left")`
    assert.match(run(body, main), /kept true 0\n[^]*nothing left/)
  })

  test("one that disposes of its device is blocked by another thread's work no longer than that thread itself", () => {
    const body = `
      launch(driver, stream, noop)
      driver.memory.freePinned(driver.memory.allocatePinned(4096).address)
      driver.streams.synchronize(stream)
      parentPort.once("message", () => driver.close())
      parentPort.postMessage("ready")`
    const main = `
      const { Latch, open, untilGone } = await import("${helpers}")
      const { double } = await import("${double}")
      const [keeper, driver] = [open(), open()]
      await ready
      driver.memory.freePinned(driver.memory.allocatePinned(4096).address)
      const latch = new Latch(keeper).hold(keeper.streams.create(0))
      const before = double.waits()
      driver.close()
      worker.postMessage("close")
      await ended
      console.log("waited", double.waits() - before)
      latch.open()
      keeper[Symbol.dispose]()
      await untilGone()
      console.log("nothing left")`
    assert.match(run(body, main), /waited 0\nnothing left/)
  })

  test("kernels are loaded here once the work there is over, without blocking the event loop", () => {
    const body = `
      const latch = new Latch(driver).hold(stream)
      parentPort.on("message", (message) => {
        if (message === "open") return latch.open()
        driver[Symbol.dispose]()
        parentPort.close()
      })
      parentPort.postMessage("held")`
    const main = `
      await ready
      const { kernel, open, untilGone } = await import("${helpers}")
      const { double } = await import("${double}")
      const driver = open()
      const before = double.waits()
      const prepared = driver.kernels.prepare(kernel("test_noop", []))
      setTimeout(() => worker.postMessage("open"), 20)
      await prepared
      console.log("waited", double.waits() - before)
      worker.postMessage("end")
      driver.close()
      await ended
      await untilGone()`
    assert.match(run(body, main), /waited 0/)
  })

  test("kernels are loaded here while another thread keeps the device busy", () => {
    const body = `
      let done = false
      parentPort.on("message", () => { done = true })
      parentPort.postMessage("busy")
      const turn = () => {
        for (let i = 0; i < 300; i++) launch(driver, stream, noop)
        if (!done) return setImmediate(turn)
        driver.close()
        parentPort.close()
      }
      launch(driver, stream, noop)
      turn()`
    const main = `
      await ready
      const { kernel, open, untilGone } = await import("${helpers}")
      const driver = open()
      await driver.kernels.prepare(kernel("test_noop", []))
      driver.kernels.load(kernel("test_noop", []))
      console.log("loaded")
      driver.close()
      worker.postMessage("end")
      await ended
      await untilGone()`
    assert.match(run(body, main), /loaded/)
  })
})

test("a process can end by process.exit with an open device and a held stream", () => {
  const { status, signal, stderr } = spawnSync(
    process.execPath,
    [
      "--input-type=module",
      "--eval",
      `import { doublePath } from "${double}"
       import { Latch, open } from "${helpers}"
       if (doublePath !== undefined) {
         const driver = open()
         new Latch(driver).hold(driver.streams.create(0))
       }
       process.exit(0)`,
    ],
    { encoding: "utf8", timeout: 300_000 },
  )
  assert.deepEqual({ status, signal }, { status: 0, signal: null }, stderr)
})
