import type { ControlMemory } from "./control.js"
import { PROGRESS_HIGH, PROGRESS_LOW } from "./layout.js"

/** Says how far a stream has come, on behalf of the worker that runs it. */
export function advance({ words }: ControlMemory, stream: number, low: number, high: number): void {
  Atomics.store(words, stream + PROGRESS_LOW, low)
  if (words[stream + PROGRESS_HIGH] !== high) Atomics.store(words, stream + PROGRESS_HIGH, high)
}
