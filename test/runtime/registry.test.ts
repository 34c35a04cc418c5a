import assert from "node:assert/strict"
import { syncBuiltinESMExports } from "node:module"
import os, { availableParallelism } from "node:os"
import { test } from "node:test"
import { currentStream, listDevices, openDevice } from "../../src/index.js"
import { withEnvironment } from "../support/environment.js"
import { refused } from "../support/errors.js"
import { once, spin } from "../support/kernels.js"

const open = (...args: readonly unknown[]): unknown => Reflect.apply(openDevice, undefined, args)

test("§4 openDevice: refuses an invalid selector, and names the valid ones", () => {
  const selectors: [unknown, string][] = [
    ["gpu", "'gpu'"],
    ["host:0", "'host:0'"],
    ["cuda:", "'cuda:'"],
    ["cuda:-1", "'cuda:-1'"],
    ["cuda:1.5", "'cuda:1.5'"],
    ["CUDA", "'CUDA'"],
    ["", "''"],
    [5, "5"],
    [null, "null"],
    [{}, "{}"],
  ]
  for (const [selector, shown] of selectors) {
    refused(() => open(selector), "AUX_INVALID_ARGUMENT", "selector", shown, '"host"', '"cuda:0"')
  }
  refused(() => currentStream(), "AUX_AMBIGUOUS_DEVICE", "No device is open")
})

test("§4 openDevice: options are checked before anything is opened", () => {
  for (const options of [null, 5, "threads"]) refused(() => open("host", options), "AUX_INVALID_ARGUMENT", "options")
  for (const threads of [0, -1, 1.5, NaN, 257, "4", null, 4n]) {
    refused(() => open("host", { threads }), "AUX_OUT_OF_RANGE", "threads", "1", "256")
  }
  refused(() => currentStream(), "AUX_AMBIGUOUS_DEVICE", "No device is open")
})

test("§7 AUXSTREAM_DEVICE replaces `auto`, and nothing else", () => {
  withEnvironment({ AUXSTREAM_DEVICE: "host" }, () => {
    using device = openDevice()
    assert.equal(device.id, "host")
    using again = openDevice("auto")
    assert.equal(again, device)
  })
  withEnvironment({ AUXSTREAM_DEVICE: "" }, () => {
    using device = openDevice()
    assert.equal(device.id, listDevices().find(({ usable }) => usable)?.id)
  })
  withEnvironment({ AUXSTREAM_DEVICE: "nonsense" }, () => {
    refused(() => open(), "AUX_INVALID_ARGUMENT", "AUXSTREAM_DEVICE", "'nonsense'")
    refused(() => open("auto"), "AUX_INVALID_ARGUMENT", "AUXSTREAM_DEVICE", "'nonsense'")
    using device = openDevice("host")
    assert.equal(device.kind, "host")
  })
})

test("§7 AUXSTREAM_HOST_THREADS: sets the number of threads, unless the option does", () => {
  for (const value of ["0", "257", "many", "1.5", "-3"]) {
    withEnvironment({ AUXSTREAM_HOST_THREADS: value }, () => {
      refused(() => open("host"), "AUX_OUT_OF_RANGE", "AUXSTREAM_HOST_THREADS", value)
      using device = openDevice("host", { threads: 1 })
      spin.launch({ ...once, stream: device.defaultStream }, 1)
      device.synchronize()
    })
  }
})

test("§4 openDevice: refuses a number of threads that differs from the open device's, wherever that came from", () => {
  const cases: [environment: string, options: object, running: number][] = [
    ["3", {}, 3],
    ["3", { threads: 5 }, 5],
    ["", {}, Math.max(2, availableParallelism())],
    ["", { threads: 5 }, 5],
  ]
  for (const [environment, options, running] of cases) {
    withEnvironment({ AUXSTREAM_HOST_THREADS: environment }, () => {
      using device = openDevice("host", options)
      using again = openDevice("host", { threads: running })
      assert.equal(again, device)
      const error = refused(() => open("host", { threads: running + 1 }), "AUX_INVALID_ARGUMENT", "threads")
      assert.ok(
        error.message.includes(`${running}, because`) && error.message.includes(`got ${running + 1}`),
        error.message,
      )
    })
    // The variable is read when the device is opened, not later.
    using device = openDevice("host", { threads: 2 })
    withEnvironment({ AUXSTREAM_HOST_THREADS: "7" }, () => openDevice("host", { threads: 2 }).dispose())
    assert.equal(device.disposed, false)
  }
})

test("§4 openDevice: launchTimeout is checked, kept by an open device, and refused for a CUDA device by name", () => {
  for (const launchTimeout of [0, -1, 1.5, NaN, 2 ** 31, "4", null, 4n]) {
    refused(() => open("host", { launchTimeout }), "AUX_OUT_OF_RANGE", "launchTimeout", "1", "2147483647")
  }
  for (const selector of ["cuda", "cuda:0", "cuda:7"]) {
    refused(() => open(selector, { launchTimeout: 50 }), "AUX_INVALID_ARGUMENT", "launchTimeout", "CUDA", "got 50")
  }
  {
    using device = openDevice("host", { launchTimeout: 60_000 })
    using again = openDevice("host", { launchTimeout: 60_000 })
    using third = openDevice("host")
    assert.ok(again === device && third === device)
    refused(() => open("host", { launchTimeout: 50 }), "AUX_INVALID_ARGUMENT", "launchTimeout", "60000", "got 50")
  }
  using device = openDevice("host")
  refused(() => open("host", { launchTimeout: 50 }), "AUX_INVALID_ARGUMENT", "without one", "got 50")
  assert.equal(device.disposed, false)
  withEnvironment({ AUXSTREAM_DEVICE: "host" }, () => {
    refused(() => open("auto", { launchTimeout: 50 }), "AUX_INVALID_ARGUMENT", "without one")
  })
})

test("§4 listDevices and openDevice refuse a big-endian machine", () => {
  const { endianness } = os
  Object.assign(os, { endianness: () => "BE" })
  syncBuiltinESMExports()
  try {
    for (const { usable, reason } of listDevices()) {
      assert.equal(usable, false)
      assert.match(reason ?? "", /big-endian/)
    }
    for (const selector of ["auto", "host"]) refused(() => open(selector), "AUX_DEVICE_UNAVAILABLE", "big-endian")
  } finally {
    Object.assign(os, { endianness })
    syncBuiltinESMExports()
  }
  openDevice("host").dispose()
})

test("§4 listDevices: never throws, and says why a device cannot be used", () => {
  withEnvironment({ AUXSTREAM_LIBCUDA: "/nowhere/libcuda.so" }, () => {
    const devices = listDevices()
    const host = devices.find(({ id }) => id === "host")
    assert.equal(host?.usable, true)
    assert.equal(host.kind, "host")
    assert.ok(host.name.length > 0)
    for (const { id, kind, usable, reason } of devices) {
      assert.ok(id === kind || id.startsWith(`${kind}:`))
      if (!usable) assert.ok(reason !== undefined && reason.length > 20, `${id}: ${reason}`)
    }
  })
})

test("§4 openDevice: refuses an unusable device with the reason that listDevices gives", () => {
  withEnvironment({ AUXSTREAM_LIBCUDA: "/nowhere/libcuda.so" }, () => {
    const listed = listDevices().find(({ kind }) => kind === "cuda")
    const error = refused(() => open("cuda:0"), "AUX_DEVICE_UNAVAILABLE")
    if (listed?.reason !== undefined) assert.ok(error.message.includes(listed.reason), error.message)
    using device = openDevice("host")
    assert.equal(currentStream(), device.defaultStream)
  })
})
