import assert from "node:assert/strict"
import { cpSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { pathToFileURL } from "node:url"
import * as ours from "auxstream"
import { project, temporaryFolder } from "./packing.js"

test("two copies of the package in one process: each works, and refuses the other's objects with a reason", async (t) => {
  const folder = temporaryFolder()
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(project, "dist"), join(folder, "dist"), { recursive: true })
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
  const place = pathToFileURL(join(folder, "dist/index.js"))
  const theirs = (await import(place.href)) as typeof ours

  using device = ours.openDevice("host", { threads: 2 })
  using other = theirs.openDevice("host", { threads: 2 })
  using x = device.full("int32", 2, 1)
  using y = other.full("int32", 2, 5)
  const launch = (kernel: ours.Kernel) => kernel.launch({ grid: 1, block: 1, stream: device.defaultStream }, y)
  const touch = ours.defineKernel({ name: "touch", signature: ["in int32*"], host: { source: "" } })
  const isRefusal = (code: ours.ErrorCode, kind: string) => (error: unknown) =>
    error instanceof ours.AuxstreamError &&
    error.code === code &&
    error.message.includes(`a ${kind} of another copy of auxstream, ${pathToFileURL(folder).href}`)
  const refusals: [call: () => unknown, code: ours.ErrorCode, kind: string][] = [
    [() => x.copyFrom(y), "AUX_DTYPE_MISMATCH", "DeviceArray"],
    [() => launch(touch), "AUX_INVALID_ARGUMENT", "DeviceArray"],
    [() => device.defaultStream.wait(other.defaultStream), "AUX_INVALID_ARGUMENT", "Stream"],
    [() => device.defaultStream.record(other.createEvent()), "AUX_INVALID_ARGUMENT", "Event"],
    [() => ours.captureGraph(() => 1, { device: other }), "AUX_INVALID_ARGUMENT", "Device"],
    [() => ours.fork(() => 1, { stream: other.createStream() }), "AUX_INVALID_ARGUMENT", "Stream"],
  ]
  for (const [call, code, kind] of refusals) {
    assert.throws(call, isRefusal(code, kind))
  }
  await assert.rejects(touch.prepare(other), isRefusal("AUX_INVALID_ARGUMENT", "Device"))
  assert.deepEqual(await x.read(), Int32Array.of(1, 1))
  assert.deepEqual(await y.read(), Int32Array.of(5, 5))
})
