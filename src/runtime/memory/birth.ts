import type { StreamState, Use } from "../order/stream-state.js"

/**
 * The birth of device memory: the point in its own stream's order after its allocation and, for `zeros`, `full` and `from`,
 * after its first contents. Its first use on another stream waits for that point, not for later work of its stream.
 *
 * Clocks learn nothing from such a wait, because only order that the program makes counts for them.
 */
export class Birth {
  readonly #home: StreamState
  readonly #address: number
  readonly #byteLength: number
  #tick: number
  #isOver = false
  /** Whether it has first contents that have not been overwritten. */
  #hasContents = false
  /** The latest stream that was found to be ordered after it. Usually the same stream asks again. */
  #latest: StreamState | undefined
  /** The streams that have already been made to wait for it. */
  #behind: WeakSet<StreamState> | undefined

  /** @param tick the tick of the allocation */
  constructor(home: StreamState, address: number, byteLength: number, tick: number) {
    this.#home = home
    this.#address = address
    this.#byteLength = byteLength
    this.#tick = tick
  }

  /** The stream and the tick of the birth. */
  get use(): Use {
    return { stream: this.#home, tick: this.#tick }
  }

  /** Whether it is known to be over, so that no stream must wait any more. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** No stream waits for it until {@link settle}: a region that places operations orders the uses of the memory itself. */
  hold(): void {
    this.#isOver = true
  }

  /** Moves it to this place in its stream's order. Nothing but what this stream already runs after has used the memory. */
  settle(): void {
    this.#home.order.driver.memory.noteContents(this.#address, this.#home.handle)
    this.#tick = this.#home.tick
    this.#latest = undefined
    this.#behind = undefined
    this.#isOver = false
  }

  /** Notes that the stream's newest operation was the first contents. No other operation has used the memory yet. */
  noteContents(): void {
    this.#home.order.driver.memory.noteContents(this.#address, this.#home.handle)
    this.#tick = this.#home.tick
    this.#hasContents = true
  }

  /**
   * Makes the stream's next operation, which overwrites `byteLength` bytes, run after it. If these are all bytes, the
   * operation does not need the first contents. Other operations still do until {@link noteOverwrite}, because the driver
   * may refuse it.
   */
  orderOverwriteBefore(stream: StreamState, byteLength: number): void {
    if (!this.#hasContents || byteLength !== this.#byteLength) this.orderBefore(stream)
    else if (!this.#isOver && !this.#isBefore(stream)) {
      this.#isOver = this.#home.order.driver.memory.orderBehindBirth(this.#address, stream.handle, true)
    }
  }

  /**
   * Notes that the stream's newest operation overwrites `byteLength` bytes. If these are all bytes, no operation needs the
   * first contents any more.
   */
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
