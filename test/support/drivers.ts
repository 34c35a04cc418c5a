/** What the tests of both drivers share. */
import { LaunchShape } from "../../src/common/facts/launch-shape.js"
import type { Driver } from "../../src/driver/driver.js"
import type { EventHandle, KernelHandle, StreamHandle } from "../../src/driver/handles.js"
import type { KernelArgument } from "../../src/driver/kernels.js"
import type { PinnedMemory } from "../../src/driver/memory.js"
import type { KernelSource } from "../../src/driver/modules.js"
import type { Primitive } from "../../src/common/struct/layout.js"
import { LatchFlags, latchLimit } from "./latch-flags.js"

/** Behind no free of another stream. */
export const never = (): boolean => false

/** `"int32"` and `"in float32*"` as parameters. */
export function parameters(...signature: string[]): Primitive[] {
  return signature.map((text) => {
    const [, access, dtype] = /^(?:(in|out|inout) )?(\w+)\*?$/.exec(text) ?? []
    return { dtype, access } as Primitive
  })
}

/** Launches one block of one thread. */
export function launch(
  driver: Driver,
  stream: StreamHandle,
  kernel: KernelSource | KernelHandle,
  ...args: KernelArgument[]
): void {
  const handle = typeof kernel === "number" ? kernel : driver.kernels.load(kernel)
  driver.kernels.launch(stream, handle, LaunchShape.of(), args, undefined)
}

/** Resolves when everything that is queued on the stream now is done. */
export function completed(driver: Driver, stream: StreamHandle): Promise<void> {
  const event = driver.events.create(false)
  driver.events.record(event, stream)
  return settled(driver, event).finally(() => driver.events.destroy(event))
}

/** Resolves when the event's latest record is complete. */
export function settled(driver: Driver, event: EventHandle): Promise<void> {
  return new Promise((resolve, reject) => {
    driver.events.whenComplete(event, (error) => (error === undefined ? resolve() : reject(error)))
  })
}

export { thrownBy } from "./errors.js"

/** Holds a driver's streams up until it is opened. Its flags stay: an opened latch still reads them. */
export class DriverLatch extends LatchFlags {
  readonly #driver: Driver
  readonly #kernel: KernelSource
  readonly #pinned: PinnedMemory
  readonly #limit: number

  /**
   * @param kernel `test_latch`, with a body for the driver
   * @param limit the milliseconds after which it opens by itself
   */
  constructor(driver: Driver, kernel: KernelSource, limit = latchLimit) {
    const pinned = driver.memory.allocatePinned(12)
    const flags = new Int32Array(pinned.buffer, pinned.byteOffset, 3)
    super(flags.fill(0))
    this.#driver = driver
    this.#kernel = kernel
    this.#pinned = pinned
    this.#limit = limit
  }

  /** Work queued on the stream from now on runs once the latch is open. */
  hold(stream: StreamHandle): this {
    launch(this.#driver, stream, this.#kernel, { address: this.#pinned.address, length: 3 }, this.#limit)
    return this
  }

  /** Frees its flags. No stream may be held, nor come to the latch any more. */
  free(): void {
    this.#driver.memory.freePinned(this.#pinned.address)
  }
}
