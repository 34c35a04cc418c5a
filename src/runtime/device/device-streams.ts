/**
 * The streams of one device: makes them, finds them by their native handles, and replaces a default stream that broke. A
 * stream that is forgotten must never be disposed of before its work is over.
 */
import { checkInteger, checkName, checkOptions, mustBe } from "../../common/check.js"
import { ForgottenWatch } from "../memory/owned/forgotten.js"
import type { StreamState } from "../order/stream-state.js"
import { wasTold } from "../order/told-failures.js"
import type { Device } from "./device.js"
import { Stream } from "./stream.js"

/** Options of {@link Device.createStream}. */
export interface StreamOptions {
  /**
   * An integer from the device's highest priority, which is the smallest number (-5 on most GPUs), to 0, the lowest.
   * Default: 0.
   */
  readonly priority?: number | undefined
  /** The stream's name in errors, graphs and traces. */
  readonly name?: string | undefined
}

const streamOptions: ReadonlySet<string> = new Set(["priority", "name"] satisfies (keyof StreamOptions)[])

/** The streams of one device. */
export class DeviceStreams {
  readonly #device: Device
  /**
   * Streams whose handles the user has read. Other code may still use them, so they are kept until they are disposed of.
   */
  readonly #shared = new Map<bigint, Stream>()
  /** The handles of each of them. Inside the body of a conditional, a stream has another handle. */
  readonly #handles = new Map<Stream, Set<bigint>>()
  readonly #forgotten = new ForgottenWatch<StreamState>("Stream", (held) => this.#device.order.disposeStream(held))
  /** Former default streams that broke. The user may still refer to them. */
  readonly #former = new ForgottenWatch<StreamState>(undefined, (held) => this.#device.order.disposeStream(held))
  #default: Stream | undefined
  #count = 0

  constructor(device: Device) {
    this.#device = device
  }

  /** See {@link Device.defaultStream}. */
  get default(): Stream {
    const stream = this.#default
    if (stream?.state.isSound === true) return stream
    return this.#nextDefault(stream)
  }

  #nextDefault(stream: Stream | undefined): Stream {
    if (stream !== undefined) {
      if (!stream.disposed && !wasTold(stream.state.failure)) return stream
      this.#former.watch(stream, stream.state)
    }
    this.#default = this.make(0, "the default stream")
    return this.#default
  }

  /** See {@link Device.createStream}. */
  create(options: StreamOptions): Stream {
    checkOptions(options, "options", streamOptions)
    const { priority = 0, name } = options
    const { driver, order } = this.#device
    checkInteger(priority, "priority", driver.priorities.greatest, driver.priorities.least)
    checkName(name, "name")
    this.#device.checkUsable()
    order.deferredReleases.retryHeld()
    const stream = this.#new(priority, name)
    this.#forgotten.watch(stream, stream.state)
    return stream
  }

  /** Creates a stream for the library's own use. The user need not dispose of it. */
  make(priority: number, name: string): Stream {
    this.#device.checkUsable()
    const stream = this.#new(priority, name)
    stream.state.chosen = true
    return stream
  }

  #new(priority: number, name = `stream ${this.#count + 1}`): Stream {
    const state = this.#device.order.createStream(priority, `${name} of ${this.#device.id}`)
    return new Stream(this.#device, ++this.#count, name, priority, state)
  }

  /** See {@link Device.streamFromHandle}. */
  adopt(handle: bigint): Stream {
    this.#device.checkUsable()
    if (typeof handle !== "bigint" || handle < 0n) throw mustBe("handle", "a bigint that is not negative", handle)
    const known = this.#shared.get(handle)
    if (known !== undefined) return known
    const name = `foreign stream 0x${handle.toString(16)}`
    const state = this.#device.order.adoptStream(handle, `${name} of ${this.#device.id}`)
    const stream = new Stream(this.#device, ++this.#count, name, state.priority, state)
    this.#share(handle, stream)
    return stream
  }

  /** The stream's native handle. From now on, this handle finds the same Stream. */
  share(stream: Stream): bigint {
    const handle = this.#device.driver.streams.foreignHandle(stream.state.handle)
    this.#share(handle, stream)
    return handle
  }

  #share(handle: bigint, stream: Stream): void {
    this.#shared.set(handle, stream)
    const handles = this.#handles.get(stream)
    if (handles === undefined) this.#handles.set(stream, new Set([handle]))
    else handles.add(handle)
  }

  dispose(stream: Stream): void {
    if (stream.disposed) return
    this.#forgotten.unwatch(stream.state)
    for (const handle of this.#handles.get(stream) ?? []) {
      if (this.#shared.get(handle) === stream) this.#shared.delete(handle)
    }
    this.#handles.delete(stream)
    this.#device.order.disposeStream(stream.state)
  }

  /** The device is closed. */
  clear(): void {
    this.#shared.clear()
    this.#handles.clear()
  }
}
