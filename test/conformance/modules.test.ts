import assert from "node:assert/strict"
import { test } from "node:test"
import { captureGraph, defineModule, type Device, DisposedError, KernelError } from "../../src/index.js"
import { forEachOpenDevice, onHost } from "../support/devices.js"
import { refused, rejected } from "../support/errors.js"
import { once, over } from "../support/kernels.js"
import { Latch } from "../support/latch.js"
import { unsanitized } from "../support/races.js"

const host = `
export function convolve(launch, n, x, y) {
  for (let i = 0; i < n; i++) {
    y[i] = 0
    for (let k = 0; k < 4 && k <= i; k++) y[i] += launch.globals.taps[k] * x[i - k]
  }
}
export function clip(launch, n, limit, x) {
  for (let i = 0; i < n; i++) if (x[i] > limit) { x[i] = limit; launch.globals.clipped[0]++ }
}
export function scale(launch, n, x) { for (let i = 0; i < n; i++) x[i] *= 4 }
export function fails() { throw new Error("on purpose") }
`

/** The kernels of examples/filters, in a new module. */
function define() {
  const module = defineModule({
    // Beside the built examples, which a machine with a GPU has, too.
    cuda: { file: new URL("../../examples/filters/filters.cu", import.meta.url) },
    host: { source: host },
    globals: { taps: ["float32", 4, "constant"], clipped: ["int32", 1] },
  })
  const convolve = module.kernel({ name: "convolve", signature: ["int32", "in float32*", "out float32*"] })
  const clip = module.kernel({ name: "clip", signature: ["int32", "float32", "inout float32*"] })
  const scale = module.kernel({
    name: "scale",
    signature: ["int32", "inout float32*"],
    cuda: { symbol: "filters::scale<float, 4>" },
  })
  return { module, convolve, clip, scale, [Symbol.dispose]: () => module.dispose() }
}

/** Fills the globals with what the tests use. */
function fillGlobals(device: Device, { module }: ReturnType<typeof define>): void {
  module.global(device, "taps").copyFrom(Float32Array.of(1, 10, 100, 1000))
  module.global(device, "clipped").fill(0)
}

forEachOpenDevice("modules", (open) => {
  test("§11 kernels of one module share its globals, a template among them", async () => {
    using device = open()
    using filters = define()
    await filters.module.prepare(device)
    fillGlobals(device, filters)
    using x = device.from(Float32Array.of(1, 2, 3, 4))
    using y = device.zeros("float32", 4)
    filters.convolve.launch(over(4), 4, x, y)
    filters.clip.launch(over(4), 4, 100, y)
    filters.scale.launch(over(4), 4, y)
    assert.deepEqual([...(await y.read())], [4, 48, 400, 400])
    assert.deepEqual([...(await filters.module.global(device, "clipped").read())], [2])
  })

  test("§11 a global is the same memory at each call, nobody frees it, and it ends with its module", async () => {
    using device = open()
    using filters = define()
    const taps = filters.module.global(device, "taps")
    taps.copyFrom(Float32Array.of(1, 2, 3, 4)).dispose()
    const again = filters.module.global(device, "taps")
    assert.deepEqual([...(await again.read())], [1, 2, 3, 4])
    assert.equal(again.address, taps.address)
    assert.deepEqual([again.dtype, again.length, again.device], ["float32", 4, device])
    filters.module.dispose()
    assert.ok(again.disposed)
    assert.throws(() => again.readSync(), DisposedError)
  })

  test(
    "§8 a module that is disposed of lets its queued launches finish, and refuses later ones",
    unsanitized,
    async () => {
      using device = open()
      using filters = define()
      fillGlobals(device, filters)
      using stream = device.createStream()
      using latch = new Latch(device)
      using x = device.full("float32", 4, 1)
      using y = device.zeros("float32", 4)
      filters.convolve.load(device)
      stream.run(() => {
        latch.hold(stream)
        filters.convolve.launch({ ...over(4), stream }, 4, x, y)
        filters.module.dispose()
      })
      assert.ok(filters.module.disposed)
      assert.throws(() => filters.convolve.launch(over(4), 4, x, y), DisposedError)
      await assert.rejects(filters.convolve.prepare(device), DisposedError)
      await assert.rejects(filters.module.prepare(device), DisposedError)
      assert.throws(() => filters.module.global(device, "taps"), DisposedError)
      assert.throws(() => filters.module.kernel({ name: "total", signature: [] }), DisposedError)
      assert.equal(stream.query(), false)
      // Memory that is made now must not be that of the globals.
      using other = device.full("float32", 64, 7)
      latch.open()
      stream.wait(device.defaultStream)
      assert.deepEqual([...(await stream.run(() => y.read()))], [1, 11, 111, 1111])
      assert.equal(other.readSync()[0], 7)
    },
  )

  test("§7 a graph keeps the module whose kernels it launches", async () => {
    using device = open()
    const filters = define()
    fillGlobals(device, filters)
    using x = device.full("float32", 4, 1)
    using y = device.zeros("float32", 4)
    filters.convolve.load(device)
    using graph = captureGraph(() => filters.convolve.launch(over(4), 4, x, y))
    filters.module.dispose()
    y.fill(0)
    graph.launch()
    assert.deepEqual([...(await y.read())], [1, 11, 111, 1111])
  })

  test("§11 a name expression must be declared before the module is first compiled", () => {
    using device = open()
    using filters = define()
    filters.module.kernel({ name: "early", signature: [], cuda: { symbol: "filters::scale<float, 2>" } })
    filters.convolve.load(device)
    refused(
      () => filters.module.kernel({ name: "late", signature: [], cuda: { symbol: "filters::scale<float, 3>" } }),
      "AUX_KERNEL_INVALID",
      /"late" must be declared before its module is first compiled.*filters::scale<float, 3>/,
    )
    // Declared already, or no expression.
    filters.module.kernel({ name: "same", signature: [], cuda: { symbol: "filters::scale<float, 2>" } })
    filters.module.kernel({ name: "total", signature: ["int32", "in float32*", "out float32*"] })
  })

  test("§8 what a module does not have is refused with what it has", async () => {
    using device = open()
    using filters = define()
    const loose = filters.module.global.bind(filters.module) as (device: Device, name: string) => unknown
    refused(() => loose(device, "table"), "AUX_INVALID_ARGUMENT", /one of "taps", "clipped"; got 'table'/)
    const missing = filters.module.kernel({ name: "missing", signature: [] })
    await rejected(() => missing.prepare(device), "AUX_KERNEL_INVALID", /clip.*convolve|convolve.*clip/)
    const bodiless = defineModule({ name: "one", [device.kind === "host" ? "cuda" : "host"]: { source: "" } })
    const none = bodiless.kernel({ name: "none", signature: [] })
    for (const act of [() => none.load(device), () => none.launch({ ...once, stream: device.defaultStream })]) {
      refused(act, "AUX_KERNEL_UNAVAILABLE", /"none" has no code for/)
    }
    await rejected(() => bodiless.prepare(device), "AUX_KERNEL_UNAVAILABLE", /Module "one" has no code for/)
  })

  test("§11 after prepare, kernels and globals are there while the device is busy", async () => {
    using device = open()
    using filters = define()
    await filters.module.prepare(device)
    using held = device.createStream()
    using latch = new Latch(device).hold(held)
    fillGlobals(device, filters)
    using y = device.full("float32", 4, 3)
    filters.clip.launch(over(4), 4, 2, y)
    filters.scale.launch(over(4), 4, y)
    assert.deepEqual([...(await y.read())], [8, 8, 8, 8])
    assert.equal(held.query(), false)
    latch.open()
  })
})

onHost("modules", (open) => {
  test("§11 prepare loads the host code of a module without kernels, and rejects with the mistake in it", async () => {
    using device = open()
    using whole = defineModule({ name: "whole", host: { source: "export function unused() {}" } })
    await whole.prepare(device)
    using wrong = defineModule({ name: "wrong", host: { source: "throw new Error('while it loads')" } })
    for (let attempt = 0; attempt < 2; attempt++) {
      await rejected(() => wrong.prepare(device), "AUX_KERNEL_INVALID", 'Module "wrong"', "while it loads")
    }
    const kernel = whole.kernel({ name: "unused", signature: [] })
    kernel.launch({ ...once, stream: device.defaultStream })
    device.synchronize()
  })

  test("§5 every launch writes the globals that are not constant, unless its `uses` names them", () => {
    for (const named of [false, true]) {
      using device = open()
      using filters = define()
      const fails = filters.module.kernel({ name: "fails", signature: [] })
      fillGlobals(device, filters)
      device.synchronize()
      const [taps, clipped] = [filters.module.global(device, "taps"), filters.module.global(device, "clipped")]
      using stream = device.createStream()
      fails.launch({ ...once, stream, ...(named && { uses: { reads: [clipped] } }) })
      assert.throws(() => stream.synchronize(), KernelError)
      assert.deepEqual([...taps.readSync()], [1, 10, 100, 1000])
      if (named) assert.deepEqual([...clipped.readSync()], [0])
      else assert.throws(() => clipped.readSync(), KernelError)
    }
  })

  test("§11 globals begin as zeros, each device has its own", () => {
    using device = open()
    using filters = define()
    assert.deepEqual([...filters.module.global(device, "taps").readSync()], [0, 0, 0, 0])
  })
})
