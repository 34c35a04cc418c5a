import { currentStream, type Device, type Event, type PinnedArray, type Stream } from "../../src/index.js"
import { latch, once, spin } from "./kernels.js"

/** A latch that is never opened ends by itself, so that a failing test does not hang. */
const limitMilliseconds = 20_000

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
export class Latch {
  readonly #device: Device
  readonly #pinned: PinnedArray<"int32">
  readonly #flags: Int32Array

  constructor(device: Device) {
    this.#device = device
    this.#pinned = device.pinned("int32", 3)
    this.#flags = this.#pinned.array
  }

  /** Later work on the stream runs once the latch is open. */
  hold(stream: Stream = currentStream(this.#device)): this {
    latch.launch({ ...once, stream }, this.#pinned, limitMilliseconds)
    return this
  }

  /** Whether a held stream has reached the latch. */
  get entered(): boolean {
    return Atomics.load(this.#flags, 1) !== 0
  }

  /** Blocks until a held stream has reached the latch: its earlier work is done. */
  waitUntilEntered(): this {
    const end = performance.now() + limitMilliseconds
    while (!this.entered) {
      if (performance.now() > end) throw new Error(`no stream came to the latch in ${limitMilliseconds} ms`)
      pause()
    }
    return this
  }

  /** Releases the held streams. */
  open(): void {
    Atomics.store(this.#flags, 0, 1)
    Atomics.notify(this.#flags, 0)
  }

  /** Whether a held stream went on because of the time limit. Then the test has proved nothing. */
  get timedOut(): boolean {
    return Atomics.load(this.#flags, 2) !== 0
  }

  /** Opens the latch. */
  [Symbol.dispose](): void {
    this.open()
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

const still = new Int32Array(new SharedArrayBuffer(4))

function pause(): void {
  Atomics.wait(still, 0, 0, 1)
}
