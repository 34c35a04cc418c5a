/**
 * Decides which of the async functions of a program continues next. Only the seed decides, never the time. One function
 * at a time continues, and everything that it sets going in the library ends before the next one.
 */
import { numbersFrom } from "../../../support/random.js"

/** What an async function awaits. */
export type Step =
  /** Its turn. */
  | { readonly kind: "pause" }
  /** A promise that settles once the device is done. Nothing else of the program runs meanwhile. */
  | { readonly kind: "settle"; readonly start: () => Promise<unknown> }
  /** A promise of async functions of the program. `after` is called as soon as it has settled. */
  | { readonly kind: "call"; readonly promise: Promise<unknown>; readonly after: () => void }

export type Steps<T = void> = Generator<Step, T, unknown>

/** Lets everything run that a settled promise set going. */
function drained(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

export class Schedule {
  readonly #below: (below: number) => number
  readonly #parked: (() => void)[] = []
  #settling: Promise<unknown> | undefined

  constructor(seed: number) {
    this.#below = numbersFrom(seed)
  }

  /** Runs the steps of an async function, whose context follows its awaits. */
  async drive<T>(steps: Steps<T>): Promise<T> {
    let next = steps.next()
    while (next.done !== true) next = steps.next(await this.#take(next.value))
    return next.value
  }

  async #take(step: Step): Promise<unknown> {
    if (step.kind === "call") await step.promise.then(step.after)
    await new Promise<void>((resolve) => this.#parked.push(resolve))
    if (step.kind !== "settle") return undefined
    const promise = step.start()
    this.#settling = promise
    return promise
  }

  /** Runs a program until it ends. */
  async run(program: () => Promise<void>): Promise<void> {
    const state = { isOver: false }
    const end = program().finally(() => (state.isOver = true))
    end.catch(() => {})
    await Promise.resolve()
    while (!state.isOver) {
      const [resume] = this.#parked.splice(this.#below(Math.max(1, this.#parked.length)), 1)
      resume?.()
      await drained()
      const settling = this.#settling
      this.#settling = undefined
      if (settling === undefined) continue
      await settling.catch(() => {})
      await drained()
    }
    return end
  }
}

/** Runs the steps of a sync function. */
export function atOnce<T>(steps: Steps<T>): T {
  const next = steps.next()
  if (next.done !== true) throw new TypeError("a sync function must not await")
  return next.value
}
