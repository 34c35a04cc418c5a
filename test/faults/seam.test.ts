/** A driver that fails at each of its calls in turn. */
import assert from "node:assert/strict"
import { afterEach, describe, test } from "node:test"
import { cudaBackend } from "../../src/cuda/backend.js"
import type { Backend } from "../../src/driver/backend.js"
import { showThrown } from "../../src/common/show.js"
import { hostBackend } from "../../src/host/backend.js"
import { AuxstreamError, type Device, OutOfMemoryError } from "../../src/index.js"
import { openDevices } from "../../src/runtime/device/current.js"
import { Device as DeviceClass } from "../../src/runtime/device/device.js"
import { skip } from "../cuda/double.js"
import type { DriverMethod } from "../support/driver-proxy.js"
import { RecordingDriver } from "../support/recording-driver.js"
import { allErrors, checkClear, checkWorks, outcome, placesOf } from "./checks.js"
import { Program } from "./program.js"
import { watching, watchingNothing } from "./watchdog.js"

/** Methods that never throw, by the seam's contract. */
const silent = /\.(destroy|free|freePinned|cancel\w+|noteContents|forgetContents|noteIdle|watchFailures|usage)$|^close$/

/** The name and number of a call that may fail. */
interface Place {
  readonly name: DriverMethod
  readonly nth: number
}

function placesIn(calls: readonly { readonly name: DriverMethod }[]): Place[] {
  const seen = new Map<DriverMethod, number>()
  return calls
    .filter(({ name }) => !silent.test(name))
    .map(({ name }) => {
      const nth = (seen.get(name) ?? 0) + 1
      seen.set(name, nth)
      return { name, nth }
    })
}

const warnings: Error[] = []
process.on("warning", (warning) => warnings.push(warning))
afterEach(() => watchingNothing())

/** The failures, and how many calls in a row fail. After running out of memory once, the library tries again. */
const faults = {
  "out of memory": { error: new OutOfMemoryError("There is no memory."), times: 1 },
  "out of memory, and still at the next call": { error: new OutOfMemoryError("There is no memory."), times: 2 },
  "another failure": { error: new AuxstreamError("AUX_CUDA_FAILED", "The call failed."), times: 1 },
}
const kinds = Object.keys(faults) as (keyof typeof faults)[]

/** A device whose driver fails on demand. */
class Failing implements Disposable {
  readonly recording: RecordingDriver
  readonly device: Device

  constructor(backend: Backend) {
    this.recording = new RecordingDriver(backend.open(0, { threads: 2 }))
    const id = backend.kind === "host" ? "host" : "cuda:0"
    this.device = new DeviceClass(id, this.recording.driver, () => openDevices.delete(id))
    openDevices.set(id, this.device)
  }

  /** The places of a program that works. */
  async places(): Promise<Place[]> {
    await checkWorks(this.device, "at first")
    this.recording.calls.length = 0
    await checkWorks(this.device, "once more")
    return placesIn(this.recording.calls)
  }

  /** Runs the program with a failure. @returns whether that failed the program */
  async failAt({ name, nth }: Place, fault: keyof typeof faults): Promise<boolean> {
    const { device, recording } = this
    const used = device.memory.used
    const { error, times } = faults[fault]
    const program = new Program(device)
    for (let time = 0; time < times; time++) recording.failAt(name, nth, error)
    const thrown = await outcome(() => program.run())
    recording.forgetFailures()
    const where = `in "${program.step}"`
    if (thrown !== undefined) {
      checkClear(thrown, where)
      assert.ok(allErrors(thrown).includes(error), `${where}: another error, ${showThrown(thrown)}`)
    }
    program.dispose()
    device.synchronize()
    // A release that failed is tried again when something is created.
    device.createStream().dispose()
    assert.equal(device.memory.used, used, `${where}: memory is left in use`)
    await checkWorks(device, where)
    return thrown !== undefined
  }

  [Symbol.dispose](): void {
    this.device.dispose()
  }
}

for (const { backend, skipped } of [
  { backend: hostBackend, skipped: false },
  { backend: cudaBackend, skipped: skip },
] satisfies { backend: Backend; skipped: string | false }[]) {
  describe(`each call of the driver failing in turn, on ${backend.kind}`, { skip: skipped }, () => {
    test("ends in that error, leaves nothing behind, and the program then runs on the same device", async () => {
      let failing = new Failing(backend)
      const problems: string[] = []
      const places = await failing.places()
      let failed = 0
      for (const index of placesOf(places.length * kinds.length, 23)) {
        const place = places[Math.floor(index / kinds.length)]
        const fault = kinds[index % kinds.length]
        assert.ok(place !== undefined && fault !== undefined)
        const where = `${fault} on ${backend.kind} at ${place.name} number ${place.nth}`
        watching(where)
        try {
          if (await failing.failAt(place, fault)) failed++
        } catch (error) {
          problems.push(`${where}, ${String(error)}`)
          failing[Symbol.dispose]()
          failing = new Failing(backend)
        }
      }
      failing[Symbol.dispose]()
      assert.deepEqual(problems, [])
      assert.ok(failed > 10)
      // `using` joined a fork again whose join had failed.
      for (const warning of warnings.splice(0))
        assert.match(warning.message, /A fork could not be joined: AuxstreamError|OutOf/)
    })
  })
}
