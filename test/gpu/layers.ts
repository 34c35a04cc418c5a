import assert from "node:assert/strict"
import { type Device, type DeviceArray, type Event, maybeExecuteInParallel, type Stream } from "../../src/index.js"
import { affine, combine, over } from "../support/kernels.js"

const count = 1000

/** Consecutive fork-joins, also computed in JavaScript: a missing, repeated or misplaced step shows in the result. */
export class Layers {
  readonly #x: DeviceArray<"int32">
  readonly #y: DeviceArray<"int32">
  readonly #aux: Stream
  readonly #events: readonly [Event, Event]
  #expectedX = 1
  #expectedY = 2
  #layer = 0

  constructor(device: Device) {
    this.#x = device.full("int32", count, this.#expectedX)
    this.#y = device.full("int32", count, this.#expectedY)
    this.#aux = device.createStream()
    this.#events = [device.createEvent(), device.createEvent()]
  }

  /** Queues layers: each changes both arrays in parallel, then mixes one into the other. */
  queue(layers: number): this {
    for (let queued = 0; queued < layers; queued++) {
      const layer = this.#layer++
      maybeExecuteInParallel(
        () => affine.launch(over(count), count, this.#x, 3, layer),
        () => affine.launch(over(count), count, this.#y, 5, layer),
        ...this.#events,
        this.#aux,
      )
      combine.launch(over(count), count, this.#y, this.#x)
      this.#expectedY = (Math.imul(this.#expectedY, 5) + layer) | 0
      this.#expectedX = (Math.imul(Math.imul(this.#expectedX, 3) + layer, 3) + this.#expectedY) | 0
    }
    return this
  }

  /** Reads the result of all layers, and compares it. */
  async check(): Promise<void> {
    const [x, y] = await Promise.all([this.#x.read(), this.#y.read()])
    assert.deepEqual(x, new Int32Array(count).fill(this.#expectedX))
    assert.deepEqual(y, new Int32Array(count).fill(this.#expectedY))
  }
}
