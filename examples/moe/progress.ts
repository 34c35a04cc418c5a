/** A progress bar on standard error: redrawn in place on a terminal, a line for each new activity elsewhere. */
export class Progress {
  readonly #steps: number
  readonly #shown: boolean
  readonly #stream = process.stderr
  #done = 0
  #activity = ""

  /** @param shown false shows nothing at all */
  constructor(steps: number, shown: boolean) {
    this.#steps = steps
    this.#shown = shown
  }

  /** Names the activity that begins now. */
  begin(activity: string): void {
    if (this.#shown && !this.#stream.isTTY && activity !== this.#activity) this.#stream.write(`${activity} …\n`)
    this.#activity = activity
    this.#draw()
  }

  /** Counts a finished step. */
  step(): void {
    this.#done += 1
    this.#draw()
  }

  /** Removes the bar. */
  end(): void {
    if (this.#shown && this.#stream.isTTY) this.#stream.write("\r\u001b[K")
  }

  #draw(): void {
    if (!this.#shown || !this.#stream.isTTY) return
    const width = 30
    const filled = Math.round((width * this.#done) / this.#steps)
    const bar = "█".repeat(filled) + "░".repeat(width - filled)
    this.#stream.write(`\r\u001b[K${bar} ${Math.round((100 * this.#done) / this.#steps)} %  ${this.#activity}`)
  }
}
