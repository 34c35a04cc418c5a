/** Captures one of our streams as another library would: with direct calls of the driver. */
import assert from "node:assert/strict"
import { CMemory } from "../../src/cuda/native/c-memory.js"
import type { StreamHandle } from "../../src/driver/handles.js"
import { native } from "./double.js"

const RELAXED = 2

/** A capture from its construction until it is ended. */
export class ForeignCapture {
  readonly #stream: StreamHandle
  readonly #out = new CMemory(8)

  constructor(stream: StreamHandle) {
    this.#stream = stream
    assert.equal(native("cuStreamBeginCapture_v2", "int", ["uintptr_t", "int"])(stream, RELAXED), 0)
  }

  /** Ends the capture, which must have succeeded, and destroys its graph. */
  end(): void {
    this.#destroy(this.#endCapture())
  }

  /** Also launches the graph, and waits for it. */
  endAndRun(): void {
    const graph = this.#endCapture()
    const { address } = this.#out
    const instantiate = native("cuGraphInstantiateWithFlags", "int", ["uintptr_t", "uintptr_t", "uint64_t"])
    assert.equal(instantiate(address, graph, 0), 0)
    const executable = this.#out.number(0)
    assert.equal(native("cuGraphLaunch", "int", ["uintptr_t", "uintptr_t"])(executable, this.#stream), 0)
    assert.equal(native("cuStreamSynchronize", "int", ["uintptr_t"])(this.#stream), 0)
    assert.equal(native("cuGraphExecDestroy", "int", ["uintptr_t"])(executable), 0)
    this.#destroy(graph)
  }

  #endCapture(): number {
    const { address } = this.#out
    assert.equal(native("cuStreamEndCapture", "int", ["uintptr_t", "uintptr_t"])(this.#stream, address), 0)
    return this.#out.number(0)
  }

  #destroy(graph: number): void {
    assert.equal(native("cuGraphDestroy", "int", ["uintptr_t"])(graph), 0)
  }
}
