/**
 * Stream captures of one device: begins and ends them, and adds nodes to a captured stream. A capture must never restrict
 * calls on streams that are not part of it.
 */
import type { StreamHandle } from "../../driver/handles.js"
import { CMemory } from "../native/c-memory.js"
import type { CudaContext } from "../api/context.js"
import { readNumber } from "../native/ffi.js"
import { ForeignCaptures } from "./foreign-captures.js"
import { SUCCESS } from "../api/status.js"

/**
 * In this mode, calls outside a capture do not invalidate it. In the thread-local mode CUDA refuses allocations, queries,
 * synchronisation and kernel loading on all other streams of the thread during a capture (measured on an H200, driver 580),
 * and a program does all its work on one thread. The runtime itself refuses calls that a capture does not allow.
 */
const MODE_RELAXED = 2

/** The given nodes replace the dependencies of the stream's next node. */
const SET_CAPTURE_DEPENDENCIES = 1

/** The graph that a stream is captured into, and the dependencies of the stream's next node. */
export interface CapturePoint {
  readonly graph: number
  /** The address of an array of handles, valid until something is captured on the stream. */
  readonly dependencies: number
  readonly count: number
}

/** The captures of one device. */
export class Captures {
  readonly #context: CudaContext
  /** The streams and events that may be part of foreign captures. */
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

  /** Captures into an existing graph, without dependencies. */
  beginInto(graph: number, stream: StreamHandle): void {
    const { cuStreamBeginCaptureToGraph } = this.#context.conditionalCalls
    const status = this.#context.room.for(() => cuStreamBeginCaptureToGraph(stream, graph, 0, 0, 0, MODE_RELAXED))
    this.#context.check(status, "cuStreamBeginCaptureToGraph")
    this.#context.captures += 1
  }

  /** @returns the captured graph, which the caller must destroy, except after `beginInto` */
  end(stream: StreamHandle): number {
    this.#context.captures -= 1
    const { cuStreamEndCapture } = this.#context.graphCalls
    this.#context.check(cuStreamEndCapture(stream, this.#out.address), "cuStreamEndCapture")
    return this.#out.number(0)
  }

  /** @returns the captured graph; undefined if there is none, as after an invalidated capture */
  cancel(stream: StreamHandle): number | undefined {
    if (this.#context.isLost) return undefined
    this.#context.captures -= 1
    const status = this.#context.graphCalls.cuStreamEndCapture(stream, this.#out.address)
    return status === SUCCESS ? this.#out.number(0) : undefined
  }

  /** Whether the stream is part of one of our own captures. */
  isInOwnCapture(stream: StreamHandle): boolean {
    return this.#context.captures > 0 && this.#isCaptured(stream)
  }

  /** Whether the stream is part of any capture. Then it must not be queried: that would invalidate the capture. */
  isInAnyCapture(stream: StreamHandle): boolean {
    return (this.#context.captures > 0 || this.foreign.mayInclude(stream)) && this.#isCaptured(stream)
  }

  #isCaptured(stream: StreamHandle): boolean {
    const status = this.#context.calls.cuStreamIsCapturing(stream, this.#out.address)
    if (status !== SUCCESS) this.#context.retry(status, "cuStreamIsCapturing", stream, this.#out.address)
    return this.#out.int(0) !== 0
  }

  /** The current position of a captured stream in its graph. */
  pointOf(stream: StreamHandle): CapturePoint {
    const { cuStreamGetCaptureInfo } = this.#context.graphCalls
    const { address } = this.#out
    this.#context.check(
      cuStreamGetCaptureInfo(stream, address, address + 8, address + 16, address + 24, address + 32),
      "cuStreamGetCaptureInfo",
    )
    return { graph: this.#out.number(16), dependencies: this.#out.number(24), count: this.#out.number(32) }
  }

  /** The node that was captured last on the stream, with nothing after it; 0 if there are several. */
  lastNodeOf(stream: StreamHandle): number {
    const { dependencies, count } = this.pointOf(stream)
    return count === 1 ? readNumber(dependencies) : 0
  }

  /** How many nodes the graph of a captured stream has. */
  countOf(stream: StreamHandle): number {
    const { graph } = this.pointOf(stream)
    const { cuGraphGetNodes } = this.#context.graphCalls
    this.#context.check(cuGraphGetNodes(graph, 0, this.#out.address), "cuGraphGetNodes")
    return this.#out.number(0)
  }

  /** Makes the node the only dependency of the operation captured on the stream next. */
  continueAfter(node: number, stream: StreamHandle): void {
    const { cuStreamUpdateCaptureDependencies } = this.#context.graphCalls
    this.#out.setNumber(0, node)
    this.#context.check(
      cuStreamUpdateCaptureDependencies(stream, this.#out.address, 1, SET_CAPTURE_DEPENDENCIES),
      "cuStreamUpdateCaptureDependencies",
    )
  }
}
