import type { ConditionalKind } from "../../driver/graphs.js"
import type { Branch, CapturedPoint } from "../queue/branch.js"
import { HostCapture } from "./capture.js"
import { OpenConditional } from "./conditional.js"
import type { ControlMemory } from "../control/control.js"
import type { HostStream } from "../queue/stream.js"

/** Begins and ends captures, and the bodies of conditionals, which are captures inside others. */
export class Captures {
  /** The open captures. */
  readonly #open = new Set<HostCapture>()
  readonly #control: ControlMemory

  constructor(control: ControlMemory) {
    this.#control = control
  }

  begin(stream: HostStream): void {
    this.#start(stream, undefined)
  }

  /** Has the stream wait for a captured record, and so join its capture. */
  wait(stream: HostStream, point: CapturedPoint): void {
    const branch = stream.branch ?? this.admit(stream, point.branch)
    branch.waitFor(point)
  }

  /** Adds the stream to the capture of a branch. */
  admit(stream: HostStream, other: Branch): Branch {
    return this.#captureOf(other).admit(stream)
  }

  /** Ends the capture of a stream. */
  end(stream: HostStream): HostCapture {
    const capture = this.#captureOf(branchOf(stream))
    this.#open.delete(capture)
    capture.end()
    return capture
  }

  cancel(stream: HostStream): void {
    if (stream.branch !== undefined) this.end(stream).clear()
  }

  beginConditional(kind: ConditionalKind, condition: number, stream: HostStream, body: HostStream): void {
    const conditional = new OpenConditional(kind, condition, branchOf(stream))
    this.#start(body, conditional)
  }

  endConditional(body: HostStream): void {
    const capture = this.end(body)
    capture.conditional?.close(capture.branches)
    capture.clear()
  }

  #start(stream: HostStream, conditional: OpenConditional | undefined): void {
    const capture = new HostCapture(this.#control, conditional)
    capture.admit(stream)
    this.#open.add(capture)
  }

  #captureOf(branch: Branch): HostCapture {
    for (const capture of this.#open) if (capture.branches.includes(branch)) return capture
    throw new RangeError(`branch ${branch.index} is part of no capture under way`)
  }
}

function branchOf({ branch, handle }: HostStream): Branch {
  if (branch === undefined) throw new RangeError(`stream ${handle} is not captured`)
  return branch
}
