import { currentStream, type Device, type Event, type PinnedArray, type Stream } from "../../src/index.js"
import { latch, once, spin } from "./kernels.js"

/** A latch that is never opened ends by itself, so that a test that fails does not hang. */
const limitMilliseconds = 20_000

/**
 * Holds a stream up until it is opened, so that a test can prove what does and what does not wait for what. A thread of
 * the device is taken up meanwhile: hold fewer latches at a time than the device has threads.
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

  /** What is queued on the stream from now on runs once the latch is open. */
  hold(stream: Stream = currentStream(this.#device)): this {
    latch.launch({ ...once, stream }, this.#pinned, limitMilliseconds)
    return this
  }

  /** Has a held stream come to the latch? */
  get entered(): boolean {
    return Atomics.load(this.#flags, 1) !== 0
  }

  /** Blocks until a held stream has come to the latch: all that was queued there before is done. */
  waitUntilEntered(): this {
    const end = performance.now() + limitMilliseconds
    while (!this.entered) {
      if (performance.now() > end) throw new Error(`no stream came to the latch in ${limitMilliseconds} ms`)
      pause()
    }
    return this
  }

  /** Lets the held streams go on. */
  open(): void {
    Atomics.store(this.#flags, 0, 1)
    Atomics.notify(this.#flags, 0)
  }

  /** Did a held stream go on because nobody opened the latch in time? Then whatever was to be proved is not. */
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
 * Is a stream, or an event, still not done, though others had all the time to be? A stream of its own comes to its end
 * again and again meanwhile, so that it does not only look so because nothing has been run yet. That stream is not waited
 * for without end: CUDA maps many streams onto few queues, and it may stand behind one that is held.
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
