import { AsyncLocalStorage } from "node:async_hooks"
import type { CaptureContext, CaptureLink } from "../order/capture.js"
import type { Device } from "./device.js"
import type { Scope } from "./scope.js"
import type { Stream } from "./stream.js"

/**
 * What follows the flow of calls, `await` included: the current stream of each device, whether multi-stream is on, the
 * innermost scope, the capture. Contexts are never changed; entering something makes a new one.
 */
export class Context {
  /** The innermost current stream; undefined where none was entered. */
  readonly stream: Stream | undefined
  /** Where the current streams of the other devices stand. */
  readonly outer: Context | undefined
  readonly multiStream: boolean
  readonly scope: Scope | undefined
  readonly capture: CaptureLink | undefined

  constructor(
    stream: Stream | undefined,
    outer: Context | undefined,
    multiStream: boolean,
    scope: Scope | undefined,
    capture: CaptureLink | undefined,
  ) {
    this.stream = stream
    this.outer = outer
    this.multiStream = multiStream
    this.scope = scope
    this.capture = capture
  }

  /** The current stream of a device, if one was entered. */
  streamOf(device: Device): Stream | undefined {
    for (let context: Context | undefined = this; context !== undefined; context = context.outer) {
      if (context.stream?.device === device) return context.stream
    }
    return undefined
  }

  withStream(stream: Stream): Context {
    // A context of the same device further out can never be asked again, so the chain stays as short as the devices are few.
    const outer = this.stream?.device === stream.device ? this.outer : this
    return new Context(stream, outer, this.multiStream, this.scope, this.capture)
  }

  withMultiStream(multiStream: boolean): Context {
    return new Context(this.stream, this.outer, multiStream, this.scope, this.capture)
  }

  withScope(scope: Scope | undefined): Context {
    return new Context(this.stream, this.outer, this.multiStream, scope, this.capture)
  }

  withCapture(capture: CaptureLink | undefined): Context {
    return new Context(this.stream, this.outer, this.multiStream, this.scope, capture)
  }
}

const outermost = new Context(undefined, undefined, true, undefined, undefined)
const storage = new AsyncLocalStorage<Context | undefined>()

/** The context of the running code. */
export function context(): Context {
  return storage.getStore() ?? outermost
}

/** Runs a function in a context, which its awaits keep. */
export function runIn<T>(inner: Context, fn: () => T): T {
  return storage.run(inner, fn)
}

/**
 * Makes a context the running code's. The same as {@link runIn}, for the one place where a closure would cost more than
 * what it runs: called once more in the same synchronous step, with the context from before. What is started in between
 * keeps its own. One function goes both ways, so that where the stack has room to enter it has room to come back.
 */
export function enter(context: Context): void {
  storage.enterWith(context === outermost ? undefined : context)
}

/** Runs a function as no part of any capture. */
export function outsideCaptures<T>(fn: () => T): T {
  const inside = context()
  return inside.capture === undefined ? fn() : runIn(inside.withCapture(undefined), fn)
}

/** The capture of the running code, for a device's order. */
export const captureContext: CaptureContext = { current: () => context().capture, outside: outsideCaptures }
