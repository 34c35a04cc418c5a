/**
 * The interface of a policy that decides whether calls overlap. Fork-joins and graphs ask it; `overlap/` implements it. It
 * must never queue anything, except records of its own timing events around a call.
 */
import type { DeviceOrder } from "../device-order.js"
import type { StreamState } from "../stream-state.js"

/** How the functions of a call run: side by side, or one after another. */
export type OverlapMode = "parallel" | "sequential"

/** A program's name for the shape of a call. */
export type OverlapKey = string | number

/**
 * What a policy does with a call:
 *
 * - `warm-up`, `measuring`: the policy alternates the key's calls between both modes, and times them after the warm-up
 * - `decided`: the call runs as decided
 * - `checking`: one of the rare calls that check a decision
 * - `unmeasured`: the policy neither times the call nor has a decision for it
 */
export type OverlapPhase = "warm-up" | "measuring" | "decided" | "checking" | "unmeasured"

/** A policy's part in a call, in messages and traces. */
export interface OverlapNote {
  /** The policy's name. */
  readonly name: string
  /** The key of the call. */
  readonly key: OverlapKey
  /** Whether the call was measured or followed a decision. */
  readonly phase: OverlapPhase
}

/** How a graph runs, or one launch of it. */
export interface GraphOverlap {
  /** "parallel": branches run side by side. "sequential": one operation after another, in the order of the calls. */
  readonly mode: OverlapMode
  /** What the policy does with the graph. */
  readonly policy: OverlapNote
}

/** One call as the policy wants it. */
export interface OverlapTurn {
  readonly mode: OverlapMode
  readonly note: OverlapNote
  /** The measurement of this call; undefined if it is not measured. */
  readonly sample: OverlapSample | undefined
}

/** How a measured call ended. Only a `done` one counts. */
export type OverlapOutcome = "done" | "threw" | "async"

/** Times one call. Exactly one `begin` and one `end` must follow each other in the same synchronous step. */
export interface OverlapSample {
  /**
   * Called directly before the call's first operation. Never throws.
   *
   * @param others the streams beside the current one that the call was given; none if it leases streams of the pool
   */
  begin(others: readonly StreamState[]): void
  /** Called when the call has returned, after its join. Never throws. */
  end(outcome: OverlapOutcome): void
}

/** What a policy knows of the calls, or graphs, with one key on one device. */
export interface OverlapEntry {
  /** The mode that was decided; undefined before that. */
  readonly decision: OverlapMode | undefined
  /** The next call's turn on this stream. A measured turn must be used. */
  next(main: StreamState): OverlapTurn
  /** Ends a measurement that cannot go on, with the parallel mode. A decision stays. */
  abandon(): void
  /** A kernel of this key needs the whole device, so its calls never overlap again. */
  wasResident(): void
}

/**
 * Decides for each key whether calls overlap. Made by `measuredOverlap`; for the `overlap` option of
 * `maybeExecuteInParallel`, `executeInParallel`, `parallel` and `captureGraph`.
 */
export abstract class OverlapPolicy {
  /** The policy's name in reports, messages and traces. */
  abstract readonly name: string

  /**
   * @internal The turn of a fork-join on this stream. On a stream in a capture, the stored decision of the captured key.
   *
   * @param key already checked
   */
  abstract turnOf(main: StreamState, key: OverlapKey): OverlapTurn

  /** @internal The turn of a call that does not ask because it cannot overlap: for its message only. */
  abstract unmeasured(key: OverlapKey): OverlapNote

  /** @internal The state of graphs captured with this key. They are measured separately from eager calls. */
  abstract capturedEntry(order: DeviceOrder, key: OverlapKey): OverlapEntry
}
