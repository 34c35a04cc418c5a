/** Calls whose times are drawn from known distributions, for tests of the rule. The same seed gives the same times. */
import type { Timing } from "../../src/overlap/measurement/rule.js"
import { Schedule } from "../../src/overlap/measurement/schedule.js"
import { Decision } from "../../src/overlap/decision.js"

/** Numbers from 0 to 1. */
export type Uniform = () => number

/** Neighbouring seeds give unrelated numbers (the generator "mulberry32"). */
export function uniformFrom(seed: number): Uniform {
  let state = Math.imul(seed, 0x9e3779b1)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function gauss(random: Uniform): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** By how much one call's time differs from the true one: a factor. */
export const noises = {
  none: () => 1,
  gaussian: (random: Uniform) => Math.max(0.2, 1 + 0.05 * gauss(random)),
  spikes: (random: Uniform) => 1 + 0.02 * gauss(random) + (random() < 0.2 ? 5 * random() : 0),
  heavy: (random: Uniform) => Math.max(0.5, 1 + 0.02 * Math.tan(Math.PI * (random() - 0.5))),
  late: (random: Uniform) => 1 - 0.1 * Math.log(1 - random()),
  bimodal: (random: Uniform) => (random() < 0.5 ? 1 : 1.3) * (1 + 0.02 * gauss(random)),
} satisfies Record<string, (random: Uniform) => number>

/** How the machine's speed changes from call to call: a factor for the call with this number. */
export const drifts = {
  none: () => () => 1,
  slower: () => (call: number) => 1 + call / 64,
  faster: () => (call: number) => 1 / (1 + call / 64),
  step: () => (call: number) => (call > 17 ? 1.4 : 1),
  walk: (random: Uniform) => {
    let speed = 1
    return () => (speed *= Math.exp(0.03 * gauss(random)))
  },
} satisfies Record<string, (random: Uniform) => (call: number) => number>

export interface Simulation {
  readonly seed: number
  /** The true times in microseconds. */
  readonly parallel: number
  readonly sequential: number
  readonly noise: keyof typeof noises
  readonly drift: keyof typeof drifts
}

/** Runs a whole measurement, as an entry does. */
export function decide({ seed, noise, drift, ...truth }: Simulation): Decision {
  const random = uniformFrom(seed)
  const speed = drifts[drift](random)
  const schedule = Schedule.ofMeasurement()
  for (let call = 0; ; call++) {
    const slot = schedule.next()
    if (slot === undefined) throw new Error("the schedule ended without a result")
    schedule.done(slot)
    const time = truth[slot.mode] * noises[noise](random) * speed(call)
    if (slot.isTimed) schedule.timed(slot, timing(time))
    const pairs = schedule.result
    if (pairs !== undefined) return Decision.from(pairs)
  }
}

/** A call of a stream that always has work. */
export function timing(elapsed: number): Timing {
  return { elapsed, host: 1, gap: undefined }
}
