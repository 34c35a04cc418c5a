import assert from "node:assert/strict"
import { readdirSync, existsSync } from "node:fs"
import { test } from "node:test"
import { hostBackend } from "../../src/host/backend.js"
import { AuxstreamError } from "../../src/common/errors.js"
import { Latch, launch, open, runAlone, source, thrownBy } from "./device.js"

const nothing = source("nothing", [], "")

/** The number of threads of this process; 0 if the system does not tell. */
function threadCount(): number {
  return existsSync("/proc/self/task") ? readdirSync("/proc/self/task").length : 0
}

test("closing never blocks, and queued work finishes, including waits between streams", async () => {
  const driver = open()
  const one = driver.streams.create(0)
  const two = driver.streams.create(0)
  const memory = driver.memory.allocatePinned(4)
  const words = new Int32Array(memory.buffer, memory.byteOffset, 1)
  const count = driver.kernels.load(source("count", ["inout int32*"], "args[0][0]++"))
  const latch = new Latch(driver)
  let settled = 0
  try {
    latch.hold(one)
    const event = driver.events.create(false)
    driver.events.record(event, one)
    driver.streams.wait(two, event)
    for (let index = 0; index < 500; index++) launch(driver, two, count, { address: memory.address, length: 1 })
    driver.events.record(event, two)
    driver.events.whenComplete(event, () => settled++)
    driver.close()
    driver.close()
    assert.equal(words[0], 0)
  } finally {
    latch.open()
  }
  const end = performance.now() + 60_000
  while (Atomics.load(words, 0) < 500 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 5))
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(words[0], 500)
  assert.equal(settled, 1)
  driver.memory.freePinned(memory.address)
})

test("no thread is left behind, in whatever state a device was closed", async () => {
  const before = threadCount()
  for (const state of ["unused", "queued", "idle", "broken", "lost", "preparing"]) {
    const driver = open(3)
    const streams = Array.from({ length: 5 }, () => driver.streams.create(0))
    const text = { broken: "throw new Error()", lost: "process.exit(0)" }[state] ?? ""
    const kernel = source("k", [], text)
    if (state === "preparing") driver.kernels.prepare(kernel).catch(() => undefined)
    else if (state !== "unused") for (const stream of streams) launch(driver, stream, driver.kernels.load(kernel))
    const synchronize = () => streams.forEach((stream) => driver.streams.synchronize(stream))
    if (state === "idle") synchronize()
    else if (state === "lost") thrownBy(synchronize)
    driver.close()
  }
  const end = performance.now() + 60_000
  while (threadCount() > before && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.ok(threadCount() <= before)
})

test("a lost device leaves no thread behind, not even one that computes forever", async () => {
  const before = threadCount()
  using driver = open()
  const [one, two] = [driver.streams.create(0), driver.streams.create(0)]
  launch(driver, one, driver.kernels.load(source("forever", [], "for (;;);")))
  launch(driver, two, driver.kernels.load(source("leave", [], "process.exit(1)")))
  assert.ok(thrownBy(() => driver.streams.synchronize(one)) instanceof AuxstreamError)
  const end = performance.now() + 60_000
  while (threadCount() > before && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.ok(threadCount() <= before)
})

test("a hundred devices one after another leave no thread and no memory", () => {
  const run = runAlone(`
    const { readFileSync, existsSync } = await import("node:fs")
    const resident = () => existsSync("/proc/self/status")
      ? Number(/VmRSS:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024 : 0
    const kernel = source("nothing", [], "")
    let early = 0
    for (let round = 0; round < 100; round++) {
      const driver = open()
      const stream = driver.streams.create(0)
      const address = driver.memory.allocate(2 ** 24, stream, never)
      driver.memory.fill(address, Uint8Array.of(1), 2 ** 24, stream)
      launch(driver, stream, driver.kernels.load(kernel))
      await completed(driver, stream)
      driver.close()
      if (round === 30) early = resident()
    }
    console.log(resident() - early < 700)`)
  assert.equal(run.stdout, "true\n")
  assert.equal(run.status, 0)
})

test("the number of threads comes from the option, then from the environment, which is checked", () => {
  const before = process.env["AUXSTREAM_HOST_THREADS"]
  try {
    for (const text of ["0", "many", "1e2", "-3", "300"]) {
      process.env["AUXSTREAM_HOST_THREADS"] = text
      const error = thrownBy(() => hostBackend.open(0, {}))
      assert.ok(error instanceof AuxstreamError && error.message.includes(text))
      hostBackend.open(0, { threads: 1 }).close()
    }
    process.env["AUXSTREAM_HOST_THREADS"] = "1"
    const driver = hostBackend.open(0, {})
    const stream = driver.streams.create(0)
    launch(driver, stream, driver.kernels.load(nothing))
    driver.streams.synchronize(stream)
    driver.close()
  } finally {
    if (before === undefined) delete process.env["AUXSTREAM_HOST_THREADS"]
    else process.env["AUXSTREAM_HOST_THREADS"] = before
  }
})

test("the listing names one usable device", () => {
  const [device, ...others] = hostBackend.list()
  assert.equal(others.length, 0)
  assert.equal(device?.id, "host")
  assert.equal(device?.usable, true)
  assert.ok((device?.name ?? "").length > 0)
})
