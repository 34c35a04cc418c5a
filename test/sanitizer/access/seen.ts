import type { AccessViolationError } from "../../../src/index.js"
import { type AccessOptions, type Device, type Sanitizer, openDevice, startSanitizer } from "../../../src/index.js"

/** Checks what operations do to memory, and writes down the violations. Ends with `using`. */
export class Seen {
  readonly violations: AccessViolationError[] = []
  readonly #sanitizer: Sanitizer

  constructor(options: AccessOptions = { accessModes: true }) {
    const onViolation = (violation: AccessViolationError) => void this.violations.push(violation)
    this.#sanitizer = startSanitizer({ races: false, onViolation, ...options })
  }

  /** Waits for the device. @returns a line for each violation since the last call */
  async on(device: Device): Promise<string[]> {
    device.synchronize()
    // A synchronisation has the violations passed on in the event loop.
    await new Promise((resolve) => setImmediate(resolve))
    return this.violations
      .splice(0)
      .map(({ kernel, kind, argument, begin, end }) => `${kernel}(${argument ?? ""}) ${kind} ${begin}..${end}`)
  }

  stop(): void {
    this.#sanitizer.stop()
  }

  [Symbol.dispose](): void {
    this.stop()
  }
}

/** A host device whose streams can run side by side. */
export function openHost(): Device {
  return openDevice("host", { threads: 3 })
}
