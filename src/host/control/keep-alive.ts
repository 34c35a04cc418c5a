import { clearInterval, setInterval } from "../../common/timers.js"

/** In milliseconds: rare enough to cost nothing, often enough to notice a dead worker that no event has reported. */
const PERIOD = 250

/** Keeps the process alive while something is pending, and calls `tick` at intervals meanwhile. */
export class KeepAlive {
  #timer: NodeJS.Timeout | undefined
  #holders = 0
  readonly #tick: () => void

  constructor(tick: () => void) {
    this.#tick = tick
  }

  hold(): void {
    if (this.#holders++ > 0) return
    if (this.#timer === undefined) this.#timer = setInterval(this.#tick, PERIOD)
    else this.#timer.ref()
  }

  release(): void {
    if (--this.#holders === 0) this.#timer?.unref()
  }

  /** Clears the timer. Nothing may be pending. */
  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
