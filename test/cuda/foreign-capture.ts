/** A capture of a stream of ours that another library makes: the driver's own calls, behind our back. */
import assert from "node:assert/strict"
import { CMemory } from "../../src/cuda/c-memory.js"
import type { StreamHandle } from "../../src/driver.js"
import { native } from "./double.js"

const RELAXED = 2

/** From its construction until it is ended. */
export class ForeignCapture {
  readonly #stream: StreamHandle
  readonly #out = new CMemory(8)

  constructor(stream: StreamHandle) {
    this.#stream = stream
    assert.equal(native("cuStreamBeginCapture_v2", "int", ["uintptr_t", "int"])(stream, RELAXED), 0)
  }

  /** Everything was captured that the other library wanted. Its graph is given back. */
  end(): void {
    const { address } = this.#out
    assert.equal(native("cuStreamEndCapture", "int", ["uintptr_t", "uintptr_t"])(this.#stream, address), 0)
    assert.equal(native("cuGraphDestroy", "int", ["uintptr_t"])(this.#out.number(0)), 0)
  }
}
