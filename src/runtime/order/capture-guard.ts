import type { CaptureContext, CaptureLink, OpenCapture } from "./capture.js"
import { AuxstreamError } from "../../common/errors.js"
import type { DeviceOrder } from "./device-order.js"
import type { RecordPoint } from "./record-point.js"
import type { RegionPart } from "./observer/region.js"
import type { StreamState } from "./stream-state.js"

/** The open captures of one device. Decides which code may queue on which stream while they are open. */
export class Captures {
  readonly #order: DeviceOrder
  readonly #context: CaptureContext
  readonly #running = new Set<OpenCapture>()
  #deferred: (() => void)[] = []
  #holds = 0

  constructor(order: DeviceOrder, context: CaptureContext) {
    this.#order = order
    this.#context = context
  }

  /** Runs a function outside of all captures. */
  outside<T>(fn: () => T): T {
    return this.#context.outside(fn)
  }

  /** The region of the calling code. */
  region(): RegionPart | undefined {
    return this.#context.region()
  }

  /** The capture of the calling code on this device. */
  here(): OpenCapture | undefined {
    const capture = this.#context.current()?.capture
    return capture?.order === this.#order ? capture : undefined
  }

  /** Throws unless the stream belongs to the capture of the calling code, or neither is in a capture. */
  check(stream: StreamState): void {
    this.checkCurrent(stream)
    if (stream.capture !== this.here()) throw notCapturing(stream)
  }

  /**
   * Throws if the stream cannot be made current because it belongs to another capture. Code in a capture may make a stream
   * current that is not part of the capture yet: the stream's first operation may be the wait that makes it part of it. Every
   * operation is checked by {@link check}.
   */
  checkCurrent(stream: StreamState): void {
    const here = this.here()
    if (stream.capture === undefined || stream.capture === here || here?.mayAdmit(stream) === true) return
    throw here === undefined ? capturing(stream.name, "receive work from outside the capture") : aroundBody(stream)
  }

  /**
   * Throws if the wait crosses the border of a capture.
   *
   * @returns the capture of the waiting stream and the point; the wait may make the stream part of it
   */
  checkWait(stream: StreamState, point: RecordPoint): OpenCapture | undefined {
    const here = this.here()
    if (stream.capture !== undefined && stream.capture !== here && here?.mayAdmit(stream) !== true) {
      throw here === undefined
        ? capturing(stream.name, "wait on behalf of code outside the capture")
        : aroundBody(stream)
    }
    if (point.capture !== here?.link) throw acrossBorder(stream, point)
    return here
  }

  /**
   * Throws if the calling code was started inside a capture that has ended and uses the current stream. Its work was meant for
   * the graph, so it must not run outside. Code that names a stream explicitly may continue.
   */
  checkNotOver({ capture, order }: CaptureLink, name: string): void {
    if (capture === undefined && order === this.#order && !order.closed) throw afterEnd(name)
  }

  /** Throws if captured work is queried or awaited, which never finishes, or if anything is queried or awaited in a capture. */
  checkLook(capture: OpenCapture | CaptureLink | undefined, name: string, what: string): void {
    if (this.#order.capturing > 0 && this.here() !== undefined) throw notInside(name, what)
    if (capture !== undefined) throw neverDone(name, what)
  }

  /**
   * Throws if the stream cannot be disposed of because it is part of a capture. If the driver cannot tell whether another
   * library captures it, the disposal is retried later.
   */
  checkDisposable(stream: StreamState): void {
    if (stream.capture !== undefined) throw capturing(stream.name, "be disposed of")
    if (this.#order.isCapturedByOthers(stream, false)) throw capturedByOthers(stream.name, "be disposed of")
  }

  /**
   * Throws if another library captures the stream: the call would invalidate that capture, or never finish. If the driver
   * cannot tell, throws its error, so that nobody looks for a capture that may not exist.
   */
  checkNotOthers(stream: StreamState, what: string): void {
    if (this.#order.queryCapturedByOthers(stream)) throw capturedByOthers(stream.name, what)
  }

  /** {@link checkLook} for a stream, whether this library or another captures it. */
  checkLookAt(stream: StreamState, what: string): void {
    this.checkLook(stream.capture, stream.name, what)
    this.checkNotOthers(stream, what)
  }

  /** Throws inside a capture, for what cannot be part of a graph. */
  checkOutside(name: string, what: string): void {
    if (this.#order.capturing > 0 && this.here() !== undefined) throw notInside(name, what)
  }

  /** Throws inside a capture of any device. */
  checkNotNested(): void {
    if (this.#context.current()?.capture === undefined) return
    throw new AuxstreamError(
      "AUX_STREAM_CAPTURING",
      "A capture cannot begin inside another capture. Call the function itself, or capture it before and launch its graph.",
    )
  }

  /**
   * Calls a function as soon as no capture is open, because a release must not become part of a graph, and nobody
   * {@link hold}s releases.
   */
  defer(action: () => void): void {
    if (this.#order.capturing === 0 && this.#holds === 0) this.outside(action)
    else this.#deferred.push(action)
  }

  /** Defers releases until {@link unhold}: memory that a region disposes of must not be used again before it is joined. */
  hold(): void {
    this.#holds += 1
  }

  unhold(): void {
    this.#holds -= 1
    if (this.#holds === 0) this.flush()
  }

  begin(capture: OpenCapture): void {
    this.#running.add(capture)
    this.#order.setCapturing(this.#running.size)
  }

  end(capture: OpenCapture): void {
    this.#running.delete(capture)
    this.#order.setCapturing(this.#running.size)
    if (this.#holds === 0) this.flush()
  }

  /** Calls what was deferred, unless a capture is open. Regions call it when they have joined everything. */
  flush(): void {
    if (this.#order.capturing > 0 || this.#deferred.length === 0) return
    const deferred = this.#deferred
    this.#deferred = []
    for (const action of deferred) this.outside(action)
  }

  /** Cancels all captures, when the device is closed. The body of a conditional ends before the capture around it. */
  cancelAll(): void {
    for (const capture of [...this.#running].toReversed()) capture.cancel()
  }
}

function capturing(name: string, what: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} is part of a graph capture and cannot ${what}. Use another stream, or wait until the capture has ended.`,
  )
}

function capturedByOthers(name: string, what: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} cannot ${what} while another library captures it. End that capture first.`,
  )
}

function aroundBody({ name }: StreamState): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} has captured work that is not ordered before this conditional, so the conditional's body cannot use it. Use ` +
      "fork() or parallel() in the body, or join the stream before the conditional.",
  )
}

function notCapturing(stream: StreamState): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${stream.name} is not part of the capture. Make it wait for the current stream first, with ` +
      "stream.wait(currentStream()), or use fork().",
  )
}

function afterEnd(name: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_NOT_CAPTURING",
    `${name} cannot receive work from code that was started inside a capture and still runs after its end. Make the ` +
      "captured function async and await there what it starts, or start it outside.",
  )
}

function acrossBorder(stream: StreamState, point: RecordPoint): AuxstreamError {
  const where = point.capture === undefined ? "outside the capture" : "inside a capture"
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${stream.name} cannot wait for an event that was recorded ${where}: events do not order work across the border of a ` +
      "capture. Omit the wait, because the launch of the graph is ordered on its stream, or record the event again on this side.",
  )
}

function neverDone(name: string, what: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} cannot ${what}: its work was captured into a graph and has not run. Launch the graph and wait for that.`,
  )
}

function notInside(name: string, what: string): AuxstreamError {
  return new AuxstreamError(
    "AUX_STREAM_CAPTURING",
    `${name} cannot ${what} inside a capture, where nothing runs. Do it before captureGraph(), or launch the graph and read ` +
      "its result.",
  )
}
