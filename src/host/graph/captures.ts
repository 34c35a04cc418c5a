import type { ConditionalKind } from "../../driver.js"
import type { Branch } from "./branch.js"
import { HostCapture } from "./capture.js"
import { OpenConditional } from "./conditional.js"
import type { ControlMemory } from "../control/control.js"
import type { HostStream } from "../queue/stream.js"

/** Begins and ends captures, and the bodies of conditionals, which are captures inside others. */
export class Captures {
  constructor(private readonly control: ControlMemory) {}

  begin(stream: HostStream): void {
    new HostCapture(this.control, undefined).admit(stream)
  }

  /** Ends the capture that a stream takes part in. */
  end(stream: HostStream): HostCapture {
    const { capture } = branchOf(stream)
    capture.end()
    return capture
  }

  cancel(stream: HostStream): void {
    const capture = stream.branch?.capture
    capture?.end()
    capture?.clear()
  }

  beginConditional(kind: ConditionalKind, condition: number, stream: HostStream, body: HostStream): void {
    const conditional = new OpenConditional(kind, condition, branchOf(stream))
    new HostCapture(this.control, conditional).admit(body)
  }

  endConditional(body: HostStream): void {
    const capture = this.end(body)
    capture.conditional?.close(capture)
    capture.clear()
  }
}

function branchOf({ branch, handle }: HostStream): Branch {
  if (branch === undefined) throw new RangeError(`stream ${handle} is not captured`)
  return branch
}
