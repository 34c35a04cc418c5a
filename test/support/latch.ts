import { currentStream, type Device, type Event, type PinnedArray, type Stream } from "../../src/index.js"
import { latch, once, spin } from "./kernels.js"
import { LatchFlags, latchLimit } from "./latch-flags.js"

/**
 * Holds a stream until it is opened, so that a test can prove which work waits for which. It occupies a thread of the device
 * meanwhile, so a test must hold fewer latches at a time than the device has threads.
 *
 * @example
 * using latch = new Latch(device)
 * latch.hold(stream)
 * assert.equal(stream.query(), false)
 * latch.open()
 */
export class Latch extends LatchFlags {
  readonly #device: Device
  readonly #pinned: PinnedArray<"int32">

  constructor(device: Device) {
    const pinned = device.pinned("int32", 3)
    super(pinned.array)
    this.#device = device
    this.#pinned = pinned
  }

  /** Later work on the stream runs once the latch is open. */
  hold(stream: Stream = currentStream(this.#device)): this {
    latch.launch({ ...once, stream }, this.#pinned, latchLimit)
    return this
  }

  /** The same, but names no stream: inside `autoParallel`, the latch is an operation like any other. */
  holdUnnamed(): this {
    latch.launch(once, this.#pinned, latchLimit)
    return this
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]()
    this.#pinned.dispose()
  }
}

/**
 * Whether a stream or an event is still pending although the device had time to finish it. Meanwhile another stream runs
 * kernels to their end repeatedly, to rule out that nothing has run yet. The function does not wait for that stream without
 * limit: CUDA maps many streams onto few queues, where it may be stuck behind a held one.
 */
export function isHeld(target: Stream | Event): boolean {
  using other = target.device.createStream()
  for (let turn = 0; turn < 50; turn++) {
    spin.launch({ ...once, stream: other }, 100)
    for (let look = 0; look < 2000 && !other.query(); look++) if (target.query()) return false
    if (target.query()) return false
  }
  return true
}
