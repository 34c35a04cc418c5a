import type { Birth } from "./birth.js"
import type { LaunchGroup } from "./launch-group.js"
import type { Use, Uses } from "./uses.js"
import { telling } from "../order/told-failures.js"
import type { Writes } from "./writes.js"
import type { StreamState } from "../order/stream-state.js"

/** Memory that operations use: an array's allocation, or pinned memory. */
export interface UsedMemory {
  readonly uses: Uses
  /** The graphs that name it. */
  readonly launchGroup: LaunchGroup
  /** Where it begins; undefined if it was always there. */
  readonly birth: Birth | undefined
  /** What may fail to be written, where a failure breaks a stream alone; undefined for what JavaScript writes, too. */
  readonly writes: Writes | undefined
  /** A graph names it: it stays when its owner disposes of it. */
  retain(): void
  /** A graph that named it is gone. */
  release(launches: readonly Use[]): void
}

/** The memory of a device array and its views. */
export interface ArrayMemory extends UsedMemory {
  readonly address: number
  readonly disposed: boolean
  /** The first contents have just been queued on the stream that it comes from: it begins behind them. */
  noteContents(stream: StreamState): void
  dispose(): void
}

/** Bytes that an operation uses: an array, a view, or a part of pinned memory. */
export interface Span {
  readonly allocation: UsedMemory
  readonly address: number
  readonly byteLength: number
}

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
  for (const span of reads) stream.prepareSpan(span)
  for (const span of writes) stream.prepareSpan(span)
  for (const span of overwrites) stream.prepareOverwrite(span)
  telling(submit)
  const tick = stream.advance(label)
  for (const span of reads) stream.useSpan(span, tick, false)
  for (const span of writes) stream.useSpan(span, tick, true)
  for (const span of overwrites) stream.overwrite(span, tick)
}

/**
 * The same for an operation that overwrites all of `target` with what it finds in `source`, if it has one: the commonest
 * kind, without lists.
 */
export function queueOverwrite(
  stream: StreamState,
  label: string,
  target: Span,
  source: Span | undefined,
  submit: () => void,
): void {
  stream.enter()
  if (source !== undefined) stream.prepareSpan(source)
  stream.prepareOverwrite(target)
  telling(submit)
  const tick = stream.advance(label)
  if (source !== undefined) stream.useSpan(source, tick, false)
  stream.overwrite(target, tick)
}
