import type { StreamState } from "../order/stream-state.js"
import type { Use } from "../order/use.js"

/**
 * Where device memory begins in its own stream's order: behind its allocation and, for `zeros`, `full` and `from`, its
 * first contents. Its first use on another stream waits for that point, not for what its stream has queued since.
 *
 * Clocks learn nothing from such a wait: only order that the program makes counts for them.
 */
export class Birth {
  readonly #home: StreamState
  readonly #address: number
  readonly #byteLength: number
  #tick: number
  #isOver = false
  /** Has it first contents that nothing has overwritten yet? */
  #hasContents = false
  /** The stream that was last found to be ordered behind it: mostly the one that asks again. */
  #latest: StreamState | undefined
  /** Streams that we have already made wait for it. */
  #behind: WeakSet<StreamState> | undefined

  /** `tick`: of the allocation. */
  constructor(home: StreamState, address: number, byteLength: number, tick: number) {
    this.#home = home
    this.#address = address
    this.#byteLength = byteLength
    this.#tick = tick
  }

  /** The stream, and the operation that is the birth. */
  get use(): Use {
    return { stream: this.#home, tick: this.#tick }
  }

  /** Is it known to be passed, so that nobody has to wait any more? */
  get isOver(): boolean {
    return this.#isOver
  }

  /** The newest operation of the stream was the first contents. Nobody else has used the memory yet. */
  noteContents(): void {
    this.#home.order.driver.memory.noteContents(this.#address, this.#home.handle)
    this.#tick = this.#home.tick
    this.#hasContents = true
  }

  /**
   * Makes the stream's next operation, which overwrites `byteLength` bytes, run after it. If these are all of them, the
   * operation does not need the first contents. Others do until {@link noteOverwrite}, as the driver may yet refuse it.
   */
  orderOverwriteBefore(stream: StreamState, byteLength: number): void {
    if (!this.#hasContents || byteLength !== this.#byteLength) this.orderBefore(stream)
    else if (!this.#isOver && !this.#isBefore(stream)) {
      this.#isOver = this.#home.order.driver.memory.orderBehindBirth(this.#address, stream.handle, true)
    }
  }

  /** The stream's newest operation overwrites `byteLength` bytes. If these are all, nobody needs the first contents. */
  noteOverwrite(stream: StreamState, byteLength: number): void {
    if (!this.#hasContents || byteLength !== this.#byteLength) return
    this.#hasContents = false
    if (this.#isOver) return
    this.#home.order.driver.memory.forgetContents?.(this.#address)
    if (!this.#isBefore(stream)) this.#noteWait(stream)
  }

  /** Makes the stream's next operation run after it. */
  orderBefore(stream: StreamState): void {
    if (stream !== this.#home && stream !== this.#latest && !this.#isOver) this.#orderElsewhere(stream)
  }

  #orderElsewhere(stream: StreamState): void {
    if (!this.#isBefore(stream)) {
      this.#isOver = stream.order.driver.memory.orderBehindBirth(this.#address, stream.handle)
      this.#noteWait(stream)
    }
    this.#latest = stream
  }

  #isBefore(stream: StreamState): boolean {
    return stream === this.#home || this.#behind?.has(stream) === true || stream.isAfter(this.#home.slot, this.#tick)
  }

  #noteWait(stream: StreamState): void {
    if (this.#isOver) this.#behind = undefined
    else this.#behind = (this.#behind ?? new WeakSet()).add(stream)
  }
}
