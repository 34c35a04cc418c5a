/** The pinned buffers that all loads of a device share: how many there are, and what a failure does to them. */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { OutOfMemoryError } from "../../src/index.js"
import { hostBackend } from "../../src/host/backend.js"
import { Device } from "../../src/runtime/device/device.js"
import { RecordingDriver } from "../support/recording-driver.js"

const MIB = 2 ** 20
const BUFFER = 16 * MIB
const folder = mkdtempSync(join(tmpdir(), "auxstream-staging-"))
after(() => rmSync(folder, { recursive: true, force: true }))

/** More than both buffers. */
const BYTES = 2 * BUFFER + 5
const path = join(folder, "file")
const contents = new Uint8Array(BYTES)
for (let index = 0; index < BYTES; index += 4093) contents[index] = index % 251
writeFileSync(path, contents)

/** A device whose memory JavaScript cannot reach, as a GPU's. */
class Remote {
  readonly recording: RecordingDriver
  readonly device: Device

  constructor() {
    const driver = hostBackend.open(0, { threads: 2 })
    Object.assign(driver.memory, { bytesNow: undefined })
    this.recording = new RecordingDriver(driver)
    this.device = new Device("host", this.recording.driver, () => {})
  }

  async checkLoad(): Promise<void> {
    using x = await this.device.load(path, { dtype: "uint8" })
    assert.ok(Buffer.from(x.readSync()).equals(contents))
  }

  /** The sizes of the buffers that were allocated since the last look, and how many were freed. */
  buffers(): { readonly made: number[]; readonly freed: number } {
    const calls = this.recording.take("memory.allocatePinned", "memory.freePinned")
    const made = calls.flatMap(({ name, args }) => (name === "memory.allocatePinned" ? [Number(args[0])] : []))
    return { made, freed: calls.length - made.length }
  }

  [Symbol.dispose](): void {
    this.device.dispose()
  }
}

test("§11 loads hold two buffers of 16 MiB, however many there are and however large the files", async () => {
  using remote = new Remote()
  const { device, recording } = remote
  recording.take()
  const arrays = await Promise.all(Array.from({ length: 3 }, () => device.load(path, { dtype: "uint8" })))
  const copies = recording.calls.filter(({ name }) => name === "memory.copy").map(({ args }) => Number(args[2]))
  assert.equal(copies.length, 3 * 3)
  assert.ok(copies.every((bytes) => bytes <= BUFFER))
  assert.deepEqual(remote.buffers(), { made: [BUFFER, BUFFER], freed: 0 })
  for (const x of arrays) {
    assert.ok(Buffer.from(x.readSync()).equals(contents))
    x.dispose()
  }
  device.synchronize()
  remote.buffers()
  await device.load(path, { dtype: "uint8" }).then((x) => x.dispose())
  assert.deepEqual(remote.buffers().made, [], "they are kept for the next load")
  await device.completed()
  device.trim()
  assert.equal(remote.buffers().freed, 2)
  await remote.checkLoad()
})

test("§8 loads use one buffer if there is no memory for two, and are refused without any", async () => {
  using remote = new Remote()
  const { device, recording } = remote
  const none = new OutOfMemoryError("no pinned memory")
  // Each allocation is tried again once memory that is being freed has been waited for.
  for (const nth of [2, 2]) recording.failAt("memory.allocatePinned", nth, none)
  await remote.checkLoad()
  await device.completed()
  device.trim()
  recording.forgetFailures()
  const { used } = device.memory
  for (const nth of [1, 1]) recording.failAt("memory.allocatePinned", nth, none)
  await assert.rejects(device.load(path, { dtype: "uint8" }), none)
  assert.equal(device.memory.used, used)
  await remote.checkLoad()
})

test("§8 a copy that the driver refuses ends its load alone, and its buffer serves the others", async () => {
  using remote = new Remote()
  const { device, recording } = remote
  await remote.checkLoad()
  const { used } = device.memory
  recording.take()
  const refusal = new Error("not this one")
  recording.failAt("memory.copy", 3, refusal)
  const outcomes = await Promise.allSettled([1, 2, 3].map(() => device.load(path, { dtype: "uint8" })))
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ["fulfilled", "fulfilled", "rejected"])
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") assert.equal(outcome.reason, refusal)
    else outcome.value.dispose()
  }
  assert.equal(device.memory.used, used)
  assert.deepEqual(remote.buffers().made, [])
  await remote.checkLoad()
})

test("§8 a buffer whose copy cannot be watched is not used again, but replaced", async () => {
  using remote = new Remote()
  const { device, recording } = remote
  await remote.checkLoad()
  await device.completed()
  recording.take()
  recording.failAt("events.record", 1, new Error("cannot be watched"))
  await remote.checkLoad()
  assert.deepEqual(
    remote.buffers().made.filter((bytes) => bytes === BUFFER),
    [BUFFER],
  )
})
