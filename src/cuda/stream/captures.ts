/** Captures of streams: how they begin and end, and adding nodes to what is captured of a stream. */
import type { StreamHandle } from "../../driver.js"
import { CMemory } from "../api/c-memory.js"
import type { CudaContext } from "../api/context.js"
import { ForeignCaptures } from "./foreign-captures.js"
import { SUCCESS } from "../api/status.js"

/**
 * Nothing spoils a capture that is no part of it. In the thread-local mode CUDA refuses allocations, queries, waits and
 * the loading of kernels on every other stream of the thread meanwhile (measured on an H200, driver 580), and this one
 * thread is where all of a program's work comes from. What may not be done inside is refused by the runtime, by name.
 */
const MODE_RELAXED = 2

/** The nodes given are the only ones that the stream's next one is to run behind. */
const SET_CAPTURE_DEPENDENCIES = 1

/** The graph that a stream is captured into, and the nodes that its next one comes behind. */
export interface CapturePoint {
  readonly graph: number
  /** The address of an array of handles, good until something is captured on the stream. */
  readonly dependencies: number
  readonly count: number
}

/** The captures of one device. */
export class Captures {
  readonly #context: CudaContext
  /** What others may capture. */
  readonly foreign: ForeignCaptures
  readonly #out = new CMemory(64)

  constructor(context: CudaContext) {
    this.#context = context
    this.foreign = new ForeignCaptures(context)
  }

  begin(stream: StreamHandle): void {
    const { cuStreamBeginCapture } = this.#context.graphCalls
    const status = this.#context.room.for(() => cuStreamBeginCapture(stream, MODE_RELAXED))
    this.#context.check(status, "cuStreamBeginCapture")
    this.#context.captures += 1
  }

  /** Captures into a graph that exists, behind nothing. */
  beginInto(graph: number, stream: StreamHandle): void {
    const { cuStreamBeginCaptureToGraph } = this.#context.conditionalCalls
    const status = this.#context.room.for(() => cuStreamBeginCaptureToGraph(stream, graph, 0, 0, 0, MODE_RELAXED))
    this.#context.check(status, "cuStreamBeginCaptureToGraph")
    this.#context.captures += 1
  }

  /** @returns what was captured, a graph to destroy unless it was captured into one */
  end(stream: StreamHandle): number {
    this.#context.captures -= 1
    const { cuStreamEndCapture } = this.#context.graphCalls
    this.#context.check(cuStreamEndCapture(stream, this.#out.address), "cuStreamEndCapture")
    return this.#out.number(0)
  }

  /** @returns what was captured; undefined if that is nothing: an invalidated capture gives no graph */
  cancel(stream: StreamHandle): number | undefined {
    if (this.#context.isLost) return undefined
    this.#context.captures -= 1
    const status = this.#context.graphCalls.cuStreamEndCapture(stream, this.#out.address)
    return status === SUCCESS ? this.#out.number(0) : undefined
  }

  /** Is it captured by us? */
  isInOwnCapture(stream: StreamHandle): boolean {
    return this.#context.captures > 0 && this.#isCaptured(stream)
  }

  /** Is it captured by anybody? Then it must not even be asked whether it is idle. */
  isInAnyCapture(stream: StreamHandle): boolean {
    return (this.#context.captures > 0 || this.foreign.mayInclude(stream)) && this.#isCaptured(stream)
  }

  #isCaptured(stream: StreamHandle): boolean {
    const status = this.#context.calls.cuStreamIsCapturing(stream, this.#out.address)
    if (status !== SUCCESS) this.#context.retry(status, "cuStreamIsCapturing", stream, this.#out.address)
    return this.#out.int(0) !== 0
  }

  /** Where a captured stream stands. */
  pointOf(stream: StreamHandle): CapturePoint {
    const { cuStreamGetCaptureInfo } = this.#context.graphCalls
    const [status, id, graph, dependencies, count] = [0, 8, 16, 24, 32].map((offset) => this.#out.address + offset)
    this.#context.check(
      cuStreamGetCaptureInfo(stream, status ?? 0, id ?? 0, graph ?? 0, dependencies ?? 0, count ?? 0),
      "cuStreamGetCaptureInfo",
    )
    return { graph: this.#out.number(16), dependencies: this.#out.number(24), count: this.#out.number(32) }
  }

  /** What is captured on the stream next comes behind the node. */
  continueAfter(node: number, stream: StreamHandle): void {
    const { cuStreamUpdateCaptureDependencies } = this.#context.graphCalls
    this.#out.setNumber(0, node)
    this.#context.check(
      cuStreamUpdateCaptureDependencies(stream, this.#out.address, 1, SET_CAPTURE_DEPENDENCIES),
      "cuStreamUpdateCaptureDependencies",
    )
  }
}
