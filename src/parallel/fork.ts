import { checkFunction, checkOptions } from "../common/check.js"
import { contents } from "../common/results/contents.js"
import { context, runIn } from "../runtime/device/context.js"
import { DisposedError } from "../common/errors.js"
import { PoolLease } from "../runtime/device/stream-pool.js"
import { currentDevice, currentStream } from "../runtime/device/current.js"
import type { Stream } from "../runtime/device/stream.js"
import { adopt } from "../common/results/thenable.js"
import { checkAuxStream } from "./arguments.js"
import { attach } from "../common/results/failures.js"
import { showAs } from "../runtime/inspect.js"
import { ForkState } from "./fork-state.js"
import { isMultiStreamEnabled } from "./multi-stream.js"
import { partOf } from "./region.js"
import { type ParallelReason, report } from "./report.js"

/** Options of {@link fork}. */
export interface ForkOptions {
  /** The stream for the function's work. Default: a stream of the device's pool. */
  readonly stream?: Stream | undefined
}

const forkOptions: ReadonlySet<string> = new Set(["stream"] satisfies (keyof ForkOptions)[])

/**
 * Work that {@link fork} started beside the current stream, to be joined later.
 *
 * @example
 * using side = fork(() => sharedExpert(x)) // joined at the end of the block, also after a throw
 * const routed = experts(x) // beside it
 * add(routed, side.join()) // after both
 */
export class Fork<T> {
  /** The stream of the fork's work. */
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
   * Makes the current stream wait for the fork's work. May be called again, also on other streams.
   *
   * @returns what the function returned. If that is a promise, the result is a promise, too; the fork is joined when it
   * settles, also if it rejects
   * @throws DisposedError after `dispose()`; AuxstreamError AUX_STREAM_CAPTURING across the border of a capture
   */
  join(): T extends PromiseLike<unknown> ? Promise<Awaited<T>> : T
  join(): unknown {
    if (this.#state.disposed) throw new DisposedError("The fork was disposed of. Call join() before dispose().")
    this.stream.state.order.named()
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

  /** @internal The function's result, for a scope that returns the fork. */
  [contents](): unknown {
    return this.#promise ?? this.#result
  }

  /** Makes the current stream wait for the fork's work, unless the fork has been joined. */
  dispose(): void {
    this.stream.state.order.named()
    this.#state.dispose(() => currentStream(this.stream.device).state)
  }

  /** The same as {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

showAs<Fork<unknown>>(Fork, ({ stream }) => `Fork { on ${stream.name} of ${stream.device.id} }`)

/**
 * Calls a function now. Its work is queued on another stream, after everything queued on the current stream so far.
 * Call {@link Fork.join} where you need the result. Disposing of a fork joins it, and so does garbage collection.
 *
 * Inside `withMultiStream(false, ...)` the function's work is queued on the current stream.
 *
 * @param fn called immediately; its work is queued on the other stream. Sync or async
 * @param options the stream; by default one of the pool
 * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_AMBIGUOUS_DEVICE or AUX_DISPOSED before anything is queued; otherwise what
 * the function threw, after the join
 * @example
 * const shared = fork(() => sharedExpert(x))
 * const routed = experts(x)
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
  return start(fn, main, lease.acquire(), lease, "parallel")
}

function start<T>(
  fn: () => T,
  main: Stream,
  stream: Stream,
  lease: PoolLease | undefined,
  reason: ParallelReason,
): Fork<T> {
  const region = report("fork", reason, main, stream === main ? [] : [{ stream }])
  const state = new ForkState(main.state, stream, lease, region)
  const part = region === undefined ? fn : partOf(region, 1, fn)
  const inside = context().withStream(stream)
  try {
    return runIn(region === undefined ? inside : inside.withRegion(region.own), () => {
      if (stream !== main) stream.wait(main)
      const result = part()
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
