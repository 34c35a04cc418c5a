import type { ControlMemory } from "./control.js"
import { HOST_WATCHES, PROGRESS_HIGH, PROGRESS_LOW, STREAMS_WATCH, WATCHED } from "./layout.js"
import type { Scheduler } from "./scheduler.js"

/** Says how far a stream has come, on behalf of the worker that runs it. */
export function advance({ words }: ControlMemory, stream: number, low: number, high: number): void {
  Atomics.store(words, stream + PROGRESS_LOW, low)
  if (words[stream + PROGRESS_HIGH] !== high) Atomics.store(words, stream + PROGRESS_HIGH, high)
}

/** Counts one command of a stream that the caller has, and tells whoever waits for it. */
export function countCommand(
  at: { readonly control: ControlMemory; readonly scheduler: Scheduler },
  stream: number,
  low: number,
  high: number,
): void {
  const newLow = (low + 1) | 0
  const newHigh = newLow === 0 ? (high + 1) | 0 : high
  advance(at.control, stream, newLow, newHigh)
  const watched = Atomics.load(at.control.words, stream + WATCHED)
  if ((watched & HOST_WATCHES) !== 0) at.scheduler.tellHost(stream, newHigh, newLow)
  if ((watched & STREAMS_WATCH) !== 0) at.scheduler.release(stream, newHigh, newLow)
}
