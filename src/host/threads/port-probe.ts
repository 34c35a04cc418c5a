/** Finds out whether a port is closed without the event loop, which alone gets the event that says so. */
import { MessageChannel, type MessagePort } from "node:worker_threads"

/** See the head of this file. It must never take a message out of the port. */
export class PortProbe {
  readonly #channel = new MessageChannel()

  constructor() {
    this.#channel.port1.unref()
    this.#channel.port2.unref()
  }

  /** A closed port cannot be transferred. The attempt always fails, so an open port stays as it is. */
  isClosed(port: MessagePort): boolean {
    let open = false
    const unclonable = {
      get value(): never {
        open = true
        throw new Error("The port is open, and is not transferred.")
      },
    }
    try {
      this.#channel.port1.postMessage(unclonable, [port])
    } catch {
      // Either the transfer or the value has failed.
    }
    return !open
  }

  close(): void {
    this.#channel.port1.close()
  }
}
