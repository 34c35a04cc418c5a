import { CMemory } from "../native/c-memory.js"

const ERROR_LOG_BUFFER = 5
const ERROR_LOG_BUFFER_SIZE_BYTES = 6
const LOG_BYTES = 16 * 1024

/**
 * The buffer for the driver's PTX errors. The driver may still write to it after the image is loaded, so the buffer is never
 * freed but reused.
 */
export class JitLog {
  static readonly #idle: JitLog[] = []
  readonly #log = new CMemory(LOG_BYTES)
  readonly #options = new CMemory(8)
  readonly #values = new CMemory(16)
  readonly count = 2
  #isIdle = false

  static acquire(): JitLog {
    const log = JitLog.#idle.pop() ?? new JitLog()
    log.#isIdle = false
    return log
  }

  /** Called once the image is translated, or has failed. */
  release(): void {
    if (this.#isIdle) return
    this.#isIdle = true
    JitLog.#idle.push(this)
  }

  constructor() {
    this.#options.setInt(0, ERROR_LOG_BUFFER)
    this.#options.setInt(4, ERROR_LOG_BUFFER_SIZE_BYTES)
    this.#values.setNumber(0, this.#log.address)
  }

  /** Must be called before each call that gets the buffer. */
  clear(): void {
    this.#log.bytes[0] = 0
    // The driver replaces this size by the text's length.
    this.#values.setNumber(8, LOG_BYTES)
  }

  get options(): number {
    return this.#options.address
  }

  get values(): number {
    return this.#values.address
  }

  get text(): string {
    return this.#log.text().trim()
  }
}
