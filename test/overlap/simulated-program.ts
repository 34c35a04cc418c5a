/**
 * A program as a policy sees it: a thread that queues calls, and a stream that runs them. Either may wait for the other.
 * The program is run in both modes throughout, which tells which mode is really faster, and once with a measurement.
 */
import type { Decision as DecisionType } from "../../src/overlap/decision.js"
import { Decision } from "../../src/overlap/decision.js"
import type { Timing } from "../../src/overlap/measurement/rule.js"
import { Schedule } from "../../src/overlap/measurement/schedule.js"
import type { Slot } from "../../src/overlap/measurement/stage.js"
import type { OverlapMode } from "../../src/runtime/order/policy/overlap-policy.js"
import { gauss, type Uniform, uniformFrom } from "./simulated.js"

/** Times are microseconds. */
export interface Program {
  /** What a call takes on the thread, and what its work takes on the stream. */
  readonly call: Readonly<Record<OverlapMode, { readonly thread: number; readonly stream: number }>>
  /** The same for the work between two calls. */
  readonly between?: { readonly thread: number; readonly stream: number }
  /** The program waits for the stream after so many calls; never by default. */
  readonly waitsEvery?: number
  /** The thread may be ahead by so many calls. Then the driver blocks it. */
  readonly mostAhead?: number
  /** What the stream takes more for a parallel call if so many parallel ones have not come before it directly. */
  readonly asleep?: { readonly calls: number; readonly extra: number }
  /** By how much times vary: the standard deviation, as a share. */
  readonly noise?: number
  readonly seed?: number
}

/** What a record of an event takes on the thread. */
const RECORD = 0.5

class Machine {
  /** When the thread gets to its next step, and the stream to the end of its queued work. */
  thread = 0
  stream = 0
  calls = 0
  waits = 0
  #inParallel = 0
  readonly #ends: number[] = []
  readonly #program: Program
  readonly #random: Uniform

  constructor(program: Program) {
    this.#program = program
    this.#random = uniformFrom(program.seed ?? 1)
  }

  #vary(time: number): number {
    return time * Math.max(0.2, 1 + (this.#program.noise ?? 0.02) * gauss(this.#random))
  }

  /** The thread takes time, and queues work that takes the stream time. Half the work is queued halfway. */
  #queue(thread: number, stream: number): void {
    for (let half = 0; half < 2; half++) {
      this.thread += this.#vary(thread) / 2
      if (stream > 0) this.stream = Math.max(this.stream, this.thread) + this.#vary(stream) / 2
    }
  }

  between(): void {
    const { between, waitsEvery, mostAhead } = this.#program
    if (between !== undefined) this.#queue(between.thread, between.stream)
    if (mostAhead !== undefined) this.thread = Math.max(this.thread, this.#ends.at(-mostAhead) ?? 0)
    if (waitsEvery !== undefined && this.calls % waitsEvery === 0) this.wait()
  }

  wait(): void {
    this.thread = Math.max(this.thread, this.stream)
    this.waits += 1
  }

  /** A mark's time: when the stream gets there. */
  record(): number {
    this.thread += RECORD
    return (this.stream = Math.max(this.stream, this.thread))
  }

  call(mode: OverlapMode): void {
    const { call, asleep } = this.#program
    const { thread, stream } = call[mode]
    this.#inParallel = mode === "parallel" ? this.#inParallel + 1 : 0
    const isAsleep = mode === "parallel" && asleep !== undefined && this.#inParallel <= asleep.calls
    this.#queue(thread, stream + (isAsleep ? asleep.extra : 0))
    this.#ends.push(this.stream)
    this.calls += 1
  }
}

/** What a call costs the program if all calls run in the mode. */
export function periodOf(program: Program, mode: OverlapMode): number {
  const machine = new Machine(program)
  const calls = 2000
  for (let made = 0; made < calls; made++) {
    machine.call(mode)
    machine.between()
  }
  return Math.max(machine.thread, machine.stream) / calls
}

/** Runs the program with a measurement, until it is decided. */
export function measure(program: Program): DecisionType {
  const machine = new Machine(program)
  const schedule = Schedule.ofMeasurement()
  const measuring = new Measuring(machine)
  for (let made = 0; made < 2000; made++) {
    const slot = schedule.next()
    if (slot === undefined) machine.wait() // Even a program that never waits ends some day.
    else measuring.call(slot, schedule)
    machine.between()
    measuring.read(schedule)
    if (schedule.result !== undefined) return Decision.from(schedule.result)
  }
  throw new Error("no decision")
}

interface Ended {
  readonly mode: OverlapMode
  readonly began: number
  readonly ended: number
  readonly left: number
  readonly end: number
  readonly waits: number
}

/** Measures calls as `CallSample` does. */
class Measuring {
  readonly #machine: Machine
  #latest: Ended | undefined
  #waiting: { readonly slot: Slot; readonly end: number; readonly timing: Timing }[] = []

  constructor(machine: Machine) {
    this.#machine = machine
  }

  call(slot: Slot, schedule: Schedule): void {
    const machine = this.#machine
    const { mode, isTimed } = slot
    const latest = this.#latest?.waits === machine.waits ? this.#latest : undefined
    const entered = machine.thread
    const wasIdle = machine.stream <= entered
    const start = isTimed ? machine.record() : 0
    const began = machine.thread
    machine.call(mode)
    const ended = machine.thread
    const end = machine.record()
    const left = machine.thread
    if (isTimed) {
      const gap =
        latest?.mode === mode
          ? {
              stream: start - latest.end,
              thread: began - latest.ended,
              own: latest.left - latest.ended + began - entered,
              starved: entered - latest.left > latest.ended - latest.began && wasIdle,
            }
          : undefined
      this.#waiting.push({ slot, end, timing: { elapsed: end - start, host: ended - began, gap } })
    }
    this.#latest = { mode, began, ended, left, end, waits: machine.waits }
    schedule.done(slot)
  }

  /** Calls whose end the stream has passed are known. */
  read(schedule: Schedule): void {
    const isOver = (end: number) => end <= this.#machine.thread
    for (const { slot, end, timing } of this.#waiting) if (isOver(end)) schedule.timed(slot, timing)
    this.#waiting = this.#waiting.filter(({ end }) => !isOver(end))
  }
}
