import { clearInterval, setInterval } from "../../common/timers.js"

/** Long enough to cost nothing, short enough to notice what no event has told. */
const PERIOD = 250

/** Keeps the process alive while something is pending, and looks after it now and then. */
export class KeepAlive {
  private timer: NodeJS.Timeout | undefined
  private holders = 0

  constructor(private readonly tick: () => void) {}

  hold(): void {
    if (this.holders++ > 0) return
    if (this.timer === undefined) this.timer = setInterval(this.tick, PERIOD)
    else this.timer.ref()
  }

  release(): void {
    if (--this.holders === 0) this.timer?.unref()
  }

  /** Gives the timer back. Nothing is held any more. */
  stop(): void {
    clearInterval(this.timer)
    this.timer = undefined
  }
}
