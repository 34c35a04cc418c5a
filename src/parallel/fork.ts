import { checkFunction, checkOptions } from "../common/check.js"
import { contents } from "../common/contents.js"
import { context, runIn } from "../runtime/device/context.js"
import { DisposedError } from "../common/errors.js"
import { PoolLease } from "../runtime/device/stream-pool.js"
import { currentDevice, currentStream } from "../runtime/device/current.js"
import type { Stream } from "../runtime/device/stream.js"
import { adopt } from "../common/thenable.js"
import { checkAuxStream } from "./arguments.js"
import { attach } from "../common/failures.js"
import { showAs } from "../runtime/inspect.js"
import { ForkState } from "./fork-state.js"
import { isMultiStreamEnabled } from "./multi-stream.js"
import { type ParallelReason, report } from "./report.js"

/** Options of {@link fork}. */
export interface ForkOptions {
  /** Where the function's work goes: a stream of the device's pool unless given. */
  readonly stream?: Stream | undefined
}

const forkOptions: ReadonlySet<string> = new Set(["stream"] satisfies (keyof ForkOptions)[])

/** Work that was started beside the current stream by {@link fork}, to be joined later. */
export class Fork<T> {
  /** Where the work went. */
  readonly stream: Stream
  readonly #state: ForkState
  readonly #result: unknown
  readonly #promise: Promise<unknown> | undefined

  /** @internal */
  constructor(state: ForkState, result: unknown, promise: Promise<unknown> | undefined) {
    this.stream = state.stream
    this.#state = state
    this.#result = result
    this.#promise = promise
    state.watch(this)
  }

  /**
   * Makes the current stream wait for the fork's work, and gives what its function returned: a promise if that is one,
   * which rejects with the function's error, joined all the same. May be called again, on other streams too.
   */
  join(): T extends PromiseLike<unknown> ? Promise<Awaited<T>> : T
  join(): unknown {
    if (this.#state.disposed) throw new DisposedError("the fork was disposed of; join it before dispose()")
    const stream = currentStream(this.stream.device)
    if (this.#promise !== undefined) return this.#joinLater(this.#promise, stream)
    this.#state.joinOn(stream.state)
    return this.#result
  }

  async #joinLater(promise: Promise<unknown>, stream: Stream): Promise<unknown> {
    this.#state.delivered = true
    let result: unknown
    try {
      result = await promise
    } catch (error) {
      throw attach(error, this.#state.tryToJoinOn(stream.state))
    }
    this.#state.joinOn(stream.state)
    return result
  }

  /** @internal What its function returned, for a scope that the fork is the result of. */
  [contents](): unknown {
    return this.#promise ?? this.#result
  }

  /** Joins the current stream, unless the fork has been joined. */
  dispose(): void {
    this.#state.dispose(() => currentStream(this.stream.device).state)
  }

  /** The same as {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

showAs<Fork<unknown>>(Fork, ({ stream }) => `Fork { on ${stream.name} of ${stream.device.id} }`)

/**
 * Starts a function beside the current stream, now, and lets the caller go on: its work runs behind what is queued on
 * the current stream so far. Joined later with {@link Fork.join}, or at the latest when the fork is disposed of.
 *
 * With multi-stream off, the function runs at once on the current stream.
 *
 * @example
 * const shared = fork(() => sharedExpert(x))
 * const routed = experts(x, router(x))
 * add(routed, shared.join())
 */
export function fork<T>(fn: () => T, options: ForkOptions = {}): Fork<T> {
  checkFunction(fn, "fn")
  checkOptions(options, "options", forkOptions)
  if (options.stream !== undefined) checkAuxStream(options.stream, "stream")
  const main = currentStream(options.stream?.device ?? currentDevice())
  if (!isMultiStreamEnabled()) return start(fn, main, main, undefined, "disabled")
  if (options.stream === main) return start(fn, main, main, undefined, "same-stream")
  if (options.stream !== undefined) return start(fn, main, options.stream, undefined, "parallel")
  const lease = new PoolLease(main)
  return start(fn, main, lease.take(), lease, "parallel")
}

function start<T>(
  fn: () => T,
  main: Stream,
  stream: Stream,
  lease: PoolLease | undefined,
  reason: ParallelReason,
): Fork<T> {
  report(reason, main, stream === main ? [] : [{ stream }])
  const state = new ForkState(main.state, stream, lease)
  try {
    return runIn(context().withStream(stream), () => {
      if (stream !== main) stream.wait(main)
      const result = fn()
      const promise = adopt(result)
      if (promise === undefined) state.finish()
      return new Fork<T>(state, result, promise && state.finishAfter(promise))
    })
  } catch (error) {
    state.finish()
    const joinErrors = state.tryToJoinOn(main.state)
    state.release()
    throw attach(error, joinErrors)
  }
}
