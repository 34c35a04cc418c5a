import type { DroppableLaunch } from "../../driver/kernels.js"
import { checkSignal, onAbort } from "../../common/abort.js"
import { AuxstreamError } from "../../common/errors.js"
import type { StreamState } from "../order/stream-state.js"

/** The number of launches kept for a signal before those that are over are removed. */
const LEAST = 64

/** The launches that one signal drops. */
class Launches {
  #queued: DroppableLaunch[] = []
  #limit = LEAST

  add(launch: DroppableLaunch): void {
    if (this.#queued.length >= this.#limit) {
      this.#queued = this.#queued.filter(({ isOver }) => !isOver)
      this.#limit = Math.max(LEAST, 2 * this.#queued.length)
    }
    this.#queued.push(launch)
  }

  drop(reason: unknown): void {
    for (const launch of this.#queued.splice(0)) launch.drop(reason)
  }
}

const launches = new WeakMap<AbortSignal, Launches>()

/** Drops a launch when the signal aborts. */
export function dropOnAbort(signal: AbortSignal, launch: DroppableLaunch): void {
  let ofSignal = launches.get(signal)
  if (ofSignal === undefined) {
    const made = new Launches()
    launches.set(signal, made)
    onAbort(signal, () => made.drop(signal.reason))
    ofSignal = made
  }
  ofSignal.add(launch)
}

/** Throws for a value that is not a signal, for a signal inside a capture, and the reason of one that has aborted. */
export function checkLaunchSignal(signal: unknown, { capture }: StreamState): void {
  checkSignal(signal)
  signal?.throwIfAborted()
  if (signal === undefined || capture === undefined) return
  throw new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    "`signal` must be undefined inside captureGraph(), because a graph always runs as a whole.",
  )
}
