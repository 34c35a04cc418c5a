/** The `overlap` option of the fork-joins: a policy decides whether a call overlaps, and may time it. */
import type { Asked } from "../runtime/order/policy/overlap-options.js"
import type { OverlapNote, OverlapOutcome, OverlapSample, OverlapTurn } from "../runtime/order/policy/overlap-policy.js"
import type { Stream } from "../runtime/device/stream.js"

/** The note of a call that cannot overlap, whatever the policy says. */
export function noteOf(asked: Asked | undefined): OverlapNote | undefined {
  return asked?.policy.unmeasured(asked.key)
}

/** Makes a call that its policy times. */
function timed<T>(sample: OverlapSample, others: readonly Stream[], call: () => T): T {
  let outcome: OverlapOutcome = "threw"
  sample.begin(others.map(({ state }) => state))
  try {
    const result = call()
    outcome = result instanceof Promise ? "async" : "done"
    return result
  } finally {
    sample.end(outcome)
  }
}

/** Makes a call in the mode that its policy wants, and times it if the policy wants that. */
export function takeTurn<T>(
  { mode, note, sample }: OverlapTurn,
  others: readonly Stream[],
  inParallel: (note: OverlapNote) => T,
  inSequence: (note: OverlapNote) => T,
): T {
  const call = mode === "parallel" ? inParallel : inSequence
  return sample === undefined ? call(note) : timed(sample, others, () => call(note))
}
