import type { Driver } from "../../src/driver/driver.js"
import { type DriverMethod, proxied } from "./driver-proxy.js"

/** A call of a driver's method. */
export interface Call {
  readonly name: DriverMethod
  readonly args: readonly unknown[]
}

/** A driver that logs its calls, and fails on demand. */
export class RecordingDriver {
  /** The driver for a device. */
  readonly driver: Driver
  readonly calls: Call[] = []
  readonly #failures: { name: DriverMethod; nth: number; error: Error }[] = []

  constructor(inner: Driver) {
    this.driver = proxied(inner, (name, args, call) => {
      this.calls.push({ name, args })
      this.#failIfDue(name, args, inner)
      return call()
    })
  }

  /** Makes the `nth` call of a method from now on throw, once. */
  failAt(name: DriverMethod, nth: number, error: Error): void {
    this.#failures.push({ name, nth, error })
  }

  /** Cancels the failures that have not happened yet. */
  forgetFailures(): void {
    this.#failures.length = 0
  }

  #failIfDue(name: DriverMethod, args: readonly unknown[], inner: Driver): void {
    for (const failure of this.#failures) {
      if (failure.name !== name || --failure.nth > 0) continue
      this.#failures.splice(this.#failures.indexOf(failure), 1)
      // A capture or a body whose end fails is over, too.
      const [stream] = args
      if (name === "graphs.endCapture" && typeof stream === "number") inner.graphs.cancelCapture(stream)
      if (name === "graphs.endConditional" && typeof stream === "number") inner.graphs.cancelConditional(stream)
      throw failure.error
    }
  }

  /** Returns the calls of some methods since the last call, and forgets them. */
  take(...names: DriverMethod[]): Call[] {
    const taken = this.calls.filter((call) => names.some((name) => name === call.name))
    this.calls.length = 0
    return taken
  }
}
