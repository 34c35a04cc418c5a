import { AsyncLocalStorage } from "node:async_hooks"
import type { CaptureContext, CaptureLink } from "../order/capture.js"
import type { RegionPart } from "../order/observer/region.js"
import type { Device } from "./device.js"
import type { Scope } from "./array/scope.js"
import type { Stream } from "./stream.js"

/**
 * The state that follows the flow of calls, across `await`: the current stream of each device, whether aux streams are
 * allowed, the innermost scope, the capture, and the region. A context never changes; entering something makes a new one.
 */
export class Context {
  /** The innermost current stream; undefined if none was entered. */
  readonly stream: Stream | undefined
  /** The context with the current streams of the other devices. */
  readonly outer: Context | undefined
  readonly multiStream: boolean
  readonly scope: Scope | undefined
  readonly capture: CaptureLink | undefined
  /** The innermost fork-join call. Known only while there is an observer. */
  readonly region: RegionPart | undefined

  constructor(
    stream: Stream | undefined,
    outer: Context | undefined,
    multiStream: boolean,
    scope: Scope | undefined,
    capture: CaptureLink | undefined,
    region: RegionPart | undefined,
  ) {
    this.stream = stream
    this.outer = outer
    this.multiStream = multiStream
    this.scope = scope
    this.capture = capture
    this.region = region
  }

  /** The current stream of a device, if one was entered. */
  streamOf(device: Device): Stream | undefined {
    for (let context: Context | undefined = this; context !== undefined; context = context.outer) {
      if (context.stream?.device === device) return context.stream
    }
    return undefined
  }

  withStream(stream: Stream): Context {
    return this.inPart(stream, this.region)
  }

  /** Another current stream and another region, at once. */
  inPart(stream: Stream, region: RegionPart | undefined): Context {
    // An outer context of the same device is never needed again. So the chain is no longer than the number of devices.
    const outer = this.stream?.device === stream.device ? this.outer : this
    return new Context(stream, outer, this.multiStream, this.scope, this.capture, region)
  }

  withMultiStream(multiStream: boolean): Context {
    return new Context(this.stream, this.outer, multiStream, this.scope, this.capture, this.region)
  }

  withScope(scope: Scope | undefined): Context {
    return new Context(this.stream, this.outer, this.multiStream, scope, this.capture, this.region)
  }

  withCapture(capture: CaptureLink | undefined): Context {
    return new Context(this.stream, this.outer, this.multiStream, this.scope, capture, this.region)
  }

  withRegion(region: RegionPart | undefined): Context {
    return new Context(this.stream, this.outer, this.multiStream, this.scope, this.capture, region)
  }
}

const outermost = new Context(undefined, undefined, true, undefined, undefined, undefined)
const storage = new AsyncLocalStorage<Context | undefined>()

/** The context of the calling code. */
export function context(): Context {
  return storage.getStore() ?? outermost
}

/** Runs a function in a context, also across its awaits. */
export function runIn<T>(inner: Context, fn: () => T): T {
  return storage.run(inner, fn)
}

/**
 * Enters a context without a callback, for the fast path of a fork-join, where a closure would cost more than what it runs.
 * The caller must enter the previous context again in the same synchronous step. Both calls use this one function, so that
 * if the stack has room for the first, it has room for the second.
 */
export function enter(context: Context): void {
  storage.enterWith(context === outermost ? undefined : context)
}

/** The region that observers see instead of the context's. */
let shown: RegionPart | undefined

/**
 * From now on, observers see this region instead of the context's. A fork-join sets it for its own records and waits, because
 * entering a context for each would cost more. No code of the user may run until it is undefined again.
 */
export function showRegion(part: RegionPart | undefined): void {
  shown = part
}

/** Runs a function outside of all captures. */
export function outsideCaptures<T>(fn: () => T): T {
  const inside = context()
  return inside.capture === undefined ? fn() : runIn(inside.withCapture(undefined), fn)
}

/** Gives {@link DeviceOrder} access to the capture and the region of the calling code. */
export const captureContext: CaptureContext = {
  current: () => context().capture,
  region: () => shown ?? context().region,
  outside: outsideCaptures,
}
