/**
 * How an operation uses memory: at once, or as part of a capture. Each function here comes before the driver is called, or
 * after it has accepted the operation.
 */
import type { Span, UsedMemory } from "../memory/used-memory.js"
import type { StreamState } from "../order/stream-state.js"
import { telling } from "../order/told-failures.js"
import { captureOf } from "./capture.js"

/** What an operation does with memory. */
export interface Accesses {
  readonly reads?: readonly Span[]
  /** Some bytes may stay as they are. */
  readonly writes?: readonly Span[]
  /** Every byte is written. */
  readonly overwrites?: readonly Span[]
}

const none: readonly Span[] = []

/**
 * Queues one operation that uses memory: behind the memory's birth, noted with the memory once the driver has
 * accepted it. A failed submission changes nothing. `label` is what a graph calls the operation.
 */
export function queueOperation(
  stream: StreamState,
  label: string,
  { reads = none, writes = none, overwrites = none }: Accesses,
  submit: () => void,
): void {
  stream.enter()
  for (const span of reads) prepareSpan(stream, span)
  for (const span of writes) prepareSpan(stream, span)
  for (const span of overwrites) prepareOverwrite(stream, span)
  telling(submit)
  const tick = stream.advance(label)
  for (const span of reads) useSpan(stream, span, tick, false)
  for (const span of writes) useSpan(stream, span, tick, true)
  for (const span of overwrites) overwrite(stream, span, tick)
}

/**
 * The same for an operation that overwrites all of `target` with the contents of `source`, if there is one. It is the most
 * frequent kind, so outside captures it uses no lists and has a short path of its own, which the engine compiles as one.
 */
export function queueOverwrite(
  stream: StreamState,
  label: string,
  target: Span,
  source: Span | undefined,
  submit: () => void,
): void {
  if (stream.capture !== undefined) {
    return queueOperation(
      stream,
      label,
      { reads: source === undefined ? none : [source], overwrites: [target] },
      submit,
    )
  }
  stream.enter()
  const { failures } = stream
  if (source !== undefined) {
    if (failures?.arePossible === true) checkWritten(stream, source)
    source.allocation.birth?.orderBefore(stream)
  }
  const { allocation } = target
  const { birth } = allocation
  if (birth !== undefined) {
    if (failures === undefined) birth.orderBefore(stream)
    else birth.orderOverwriteBefore(stream, target.byteLength)
  }
  telling(submit)
  const tick = stream.advance(label)
  source?.allocation.uses.note(stream, tick)
  allocation.uses.note(stream, tick)
  if (failures === undefined) return
  birth?.noteOverwrite(stream, target.byteLength)
  allocation.writes?.overwrite(failures, target.address, target.byteLength)
}

/** Makes the stream's next operation run after the memory's birth. */
export function prepare(stream: StreamState, memory: UsedMemory): void {
  if (stream.capture === undefined) memory.birth?.orderBefore(stream)
  else captureOf(stream)?.prepare(memory, stream)
}

/** Notes that the operation just counted uses the memory. */
export function use(stream: StreamState, memory: UsedMemory, tick: number): void {
  if (stream.capture === undefined) memory.uses.note(stream, tick)
  else captureOf(stream)?.use(memory, stream, tick)
}

/**
 * Comes before an operation that uses these bytes as they are: refuses what a failure has left there, and makes the
 * operation run after the memory has become valid.
 */
export function prepareSpan(stream: StreamState, span: Span): void {
  if (stream.mustCheckWritten) checkWritten(stream, span)
  prepare(stream, span.allocation)
}

/** Comes before an operation that writes all of these bytes: what is there does not matter. */
function prepareOverwrite(stream: StreamState, { allocation, byteLength }: Span): void {
  if (stream.failures === undefined || stream.capture !== undefined) prepare(stream, allocation)
  else allocation.birth?.orderOverwriteBefore(stream, byteLength)
}

/** Notes that the operation just counted uses these bytes, and whether it may write some. */
export function useSpan(stream: StreamState, span: Span, tick: number, writes: boolean): void {
  use(stream, span.allocation, tick)
  if (writes) noteWrite(stream, span)
}

/** Notes that the operation just counted may write some of these bytes. */
export function noteWrite(stream: StreamState, span: Span): void {
  if (stream.failures === undefined) return
  if (stream.capture === undefined) span.allocation.writes?.note(stream.failures, span.address, span.byteLength)
  else captureOf(stream)?.memory.accesses.write(span)
}

/** Notes that the operation just counted writes all of these bytes. */
function overwrite(stream: StreamState, span: Span, tick: number): void {
  use(stream, span.allocation, tick)
  if (stream.failures === undefined) return
  if (stream.capture !== undefined) return captureOf(stream)?.memory.accesses.overwrite(span)
  span.allocation.birth?.noteOverwrite(stream, span.byteLength)
  span.allocation.writes?.overwrite(stream.failures, span.address, span.byteLength)
}

/** Refuses bytes that a failure has left as garbage; in a capture, its launches do. */
export function checkWritten(stream: StreamState, span: Span): void {
  if (stream.capture === undefined) span.allocation.writes?.check(span.address, span.byteLength, stream.failures)
  else captureOf(stream)?.memory.accesses.read(span)
}
