import type { CaptureContext, CaptureLink, OpenCapture } from "./capture.js"
import { AuxstreamError } from "../../common/errors.js"
import type { DeviceOrder } from "./device-order.js"
import type { RecordPoint } from "./record-point.js"
import type { StreamState } from "./stream-state.js"

/** The captures that are under way on one device, and who may queue where meanwhile. */
export class Captures {
  readonly #order: DeviceOrder
  readonly #context: CaptureContext
  readonly #running = new Set<OpenCapture>()
  #deferred: (() => void)[] = []

  constructor(order: DeviceOrder, context: CaptureContext) {
    this.#order = order
    this.#context = context
  }

  /** Runs a function as no part of any capture. */
  outside<T>(fn: () => T): T {
    return this.#context.outside(fn)
  }

  /** The capture that the running code belongs to. */
  here(): OpenCapture | undefined {
    const capture = this.#context.current()?.capture
    return capture?.order === this.#order ? capture : undefined
  }

  /** Refuses a capturing stream to outsiders, and other streams to a capture. */
  check(stream: StreamState): void {
    this.checkCurrent(stream)
    if (stream.capture !== this.here()) throw notCapturing(stream)
  }

  /**
   * Refuses to make a stream current that is another capture's. In a capture it may be one that takes no part yet: its
   * first operation may be the wait that brings it in, and each of the others is checked.
   */
  checkCurrent(stream: StreamState): void {
    const here = this.here()
    if (stream.capture === undefined || stream.capture === here || here?.mayBorrow(stream) === true) return
    throw here === undefined ? capturing(stream.name, "be queued on from outside") : aroundBody(stream)
  }

  /**
   * Refuses a wait across a capture's border.
   *
   * @returns the capture that both the waiting stream and the point belong to, or are to belong to
   */
  checkWait(stream: StreamState, point: RecordPoint): OpenCapture | undefined {
    const here = this.here()
    if (stream.capture !== undefined && stream.capture !== here && here?.mayBorrow(stream) !== true) {
      throw here === undefined ? capturing(stream.name, "wait from outside") : aroundBody(stream)
    }
    if (point.capture !== here?.link) throw acrossBorder(stream, point)
    return here
  }

  /**
   * Refuses the current stream to code that goes on after its capture: its author wanted in the graph what it queues, so
   * that it must not run outside as if nothing were. Whoever names a stream is taken at his word.
   */
  checkNotOver({ capture, order }: CaptureLink, name: string): void {
    if (capture === undefined && order === this.#order && !order.closed) throw afterEnd(name)
  }

  /** Refuses to look at what is captured, as it would never be done, and to look at anything inside a capture. */
  checkLook(capture: OpenCapture | CaptureLink | undefined, name: string, what: string): void {
    if (this.#order.capturing > 0 && this.here() !== undefined) throw notInside(name, what)
    if (capture !== undefined) throw neverDone(name, what)
  }

  /** Refuses to change a stream that takes part in a capture, be it another library's. */
  checkFree(stream: StreamState, what: string): void {
    if (stream.capture !== undefined) throw capturing(stream.name, what)
    this.checkNotOthers(stream, what)
  }

  /** Refuses what would invalidate another library's capture, or would never be done. */
  checkNotOthers(stream: StreamState, what: string): void {
    if (this.#order.isCapturedByOthers(stream)) throw capturedByOthers(stream.name, what)
  }

  /** See {@link checkLook}. */
  checkLookAt(stream: StreamState, what: string): void {
    this.checkLook(stream.capture, stream.name, what)
    this.checkNotOthers(stream, what)
  }

  /** Refuses what cannot become part of a graph. */
  checkOutside(name: string, what: string): void {
    if (this.#order.capturing > 0 && this.here() !== undefined) throw notInside(name, what)
  }

  /** Refuses a capture inside a capture, whatever the device. */
  checkNotNested(): void {
    if (this.#context.current()?.capture === undefined) return
    throw new AuxstreamError(
      "AUX_STREAM_CAPTURING",
      "a capture cannot begin inside another one; call the inner function as part of the outer one, or launch its " +
        "graph there",
    )
  }

  /** Does something as soon as no capture is under way: what is given back meanwhile must not become part of one. */
  defer(action: () => void): void {
    if (this.#order.capturing === 0) this.outside(action)
    else this.#deferred.push(action)
  }

  begin(capture: OpenCapture): void {
    this.#running.add(capture)
    this.#order.capturing = this.#running.size
  }

  end(capture: OpenCapture): void {
    this.#running.delete(capture)
    this.#order.capturing = this.#running.size
    if (this.#order.capturing > 0) return
    const deferred = this.#deferred
    this.#deferred = []
    for (const action of deferred) this.outside(action)
  }

  /** The device is being closed. Bodies of conditionals end before the captures that they are in. */
  cancelAll(): void {
    for (const capture of [...this.#running].toReversed()) capture.cancel()
  }
}

function capturing(name: string, what: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} takes part in a graph capture and cannot ${what}; use another stream, or wait for the capture's end`,
  )
}

function capturedByOthers(name: string, what: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} cannot ${what} while another library captures it; end the capture there first`,
  )
}

function aroundBody({ name }: StreamState): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} takes part in another capture, and has work there that this one is not behind; in the body of a conditional, ` +
      "use fork() or parallel(), or streams that are joined before it begins",
  )
}

function notCapturing(stream: StreamState): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${stream.name} takes no part in the capture that queues on it; make it wait for the current stream first: ` +
      "stream.wait(currentStream()), or use fork()",
  )
}

function afterEnd(name: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_NOT_CAPTURING",
    `${name} cannot be the current stream of code that belongs to a capture which is over: make captureGraph()'s function ` +
      "async and await there what it starts, or start it outside",
  )
}

function acrossBorder(stream: StreamState, point: RecordPoint): AuxstreamError {
  const where = point.capture === undefined ? "outside the capture" : "inside a capture"
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${stream.name} cannot wait for an event that was recorded ${where}: events do not reach across a capture's ` +
      "border; record it again on this side, or leave the wait out: a launch is ordered where it is queued",
  )
}

function neverDone(name: string, what: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} cannot ${what}: its work was captured into a graph and has not run; launch the graph, and wait for that`,
  )
}

function notInside(name: string, what: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} cannot ${what} inside a capture, where nothing runs; do it before captureGraph(), or launch the graph and look at ` +
      "its result",
  )
}
