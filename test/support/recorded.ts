import { hostBackend } from "../../src/host/backend.js"
import { Device } from "../../src/runtime/device/device.js"
import type { Event } from "../../src/runtime/device/event.js"
import { defineKernel } from "../../src/runtime/kernel/define-kernel.js"
import { currentStream } from "../../src/runtime/device/current.js"
import type { Stream } from "../../src/runtime/device/stream.js"
import { RecordingDriver } from "./recording-driver.js"

/** An empty kernel. */
export const nothing = defineKernel({
  name: "nothing",
  signature: ["int32"],
  host: { source: "export function nothing() {}" },
})

/** A host device that logs its driver calls as sentences: `"record event0 on main"`. */
export class Recorded {
  readonly recording = new RecordingDriver(hostBackend.open(0, { threads: 3 }))
  readonly device = new Device("host", this.recording.driver, () => {})
  readonly main: Stream = this.device.defaultStream
  readonly aux: Stream = this.device.createStream({ name: "aux" })
  readonly event0: Event = this.device.createEvent({ name: "event0" })
  readonly event1: Event = this.device.createEvent({ name: "event1" })
  readonly #streams = new Map<unknown, string>()
  readonly #events = new Map<unknown, string>()

  constructor() {
    this.nameStream(this.main, "main")
    this.nameStream(this.aux, "aux")
    this.nameEvent(this.event0, "event0")
    this.nameEvent(this.event1, "event1")
    this.log()
  }

  nameStream(stream: Stream, name: string): void {
    this.#streams.set(stream.state.handle, name)
  }

  nameEvent(event: Event, name: string): void {
    this.#events.set(event.state.handle, name)
  }

  /** Launches a kernel on the current stream. The log shows `label`. */
  launch(label: number): void {
    nothing.launch({ grid: 1, block: 1, stream: this.current }, label)
  }

  get current(): Stream {
    return currentStream(this.device)
  }

  /** Records, waits and launches since the last call. */
  log(): string[] {
    return this.recording.take("events.record", "streams.wait", "kernels.launch").map(({ name, args }) => {
      if (name === "events.record") return `record ${this.#event(args[0])} on ${this.#stream(args[1])}`
      if (name === "streams.wait") return `${this.#stream(args[0])} waits for ${this.#event(args[1])}`
      return `launch ${String(Array.isArray(args[3]) ? args[3][0] : undefined)} on ${this.#stream(args[0])}`
    })
  }

  #stream(handle: unknown): string {
    return this.#streams.get(handle) ?? "another stream"
  }

  #event(handle: unknown): string {
    return this.#events.get(handle) ?? "another event"
  }

  [Symbol.dispose](): void {
    this.device.dispose()
  }
}
