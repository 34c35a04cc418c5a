import type { Device } from "./device.js"
import { KernelError } from "./errors.js"
import type { Stream } from "./stream.js"

/** How many streams a device's pool makes before forks begin to share them. */
const most = 32

/**
 * The streams that forks run on if none is named. The one given back last is taken first, so that a model's layers, one
 * after another, run on one and the same stream.
 */
export class StreamPool {
  readonly #device: Device
  #streams: Stream[] = []
  #idle: Stream[] = []
  #next = 0

  constructor(device: Device) {
    this.#device = device
  }

  /** A stream that is not `current`. Beyond {@link most} at once, streams are shared, which only adds order. */
  take(current: Stream): Stream {
    for (let index = this.#idle.length - 1; index >= 0; index--) {
      const stream = this.#idle[index]
      if (stream === undefined || !isFree(stream, current)) continue
      this.#idle.splice(index, 1)
      if (isFit(stream)) return stream
    }
    const shared = this.#streams.length < most ? undefined : this.#share(current)
    return shared ?? this.#create()
  }

  #share(current: Stream): Stream | undefined {
    for (let tries = 0; tries < this.#streams.length; tries++) {
      const stream = this.#streams[this.#next++ % this.#streams.length]
      if (stream !== undefined && isFree(stream, current) && isFit(stream)) return stream
    }
    return undefined
  }

  #create(): Stream {
    this.#streams = this.#streams.filter((stream) => !stream.disposed)
    const stream = this.#device.createStream({ name: `pool stream ${this.#streams.length + 1}` })
    this.#streams.push(stream)
    return stream
  }

  give(stream: Stream): void {
    if (!stream.disposed && !this.#idle.includes(stream)) this.#idle.push(stream)
  }

  close(): void {
    for (const stream of this.#streams) this.#device.disposeStream(stream)
    this.#streams = []
    this.#idle = []
  }
}

/** A stream that takes part in a capture belongs to that alone. */
function isFree(stream: Stream, current: Stream): boolean {
  const { capture } = stream.state
  return stream !== current && (capture === undefined || capture === current.state.capture)
}

/** Can it be forked onto? A stream that a kernel has broken cannot, and is of no use any more. */
function isFit(stream: Stream): boolean {
  if (stream.disposed || KernelError.count === 0) return !stream.disposed
  try {
    // Past the checks of captures: what it is asked for is what was queued before.
    stream.device.driver.queryStream(stream.state.handle)
    return true
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    stream.dispose()
    return false
  }
}
