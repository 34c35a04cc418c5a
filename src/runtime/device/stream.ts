import { checkFunction, checkOptions, mustBe } from "../../common/check.js"
import { type CompletionOptions, streamCompletion } from "../order/completion.js"
import { context, runIn } from "./context.js"
import { checkStreamOf } from "./current.js"
import { prepareSpan, useSpan } from "../capture/operation.js"
import type { Device } from "./device.js"
import type { AnyArray } from "./arrays.js"
import { DeviceArray } from "./device-array.js"
import { AuxstreamError } from "../../common/errors.js"
import { Event } from "./event.js"
import { PinnedArray } from "./pinned-array.js"
import { show } from "../../common/show.js"
import type { StreamState } from "../order/stream-state.js"

/** The arrays that work of another library, queued on one of our own streams, reads and writes. */
export interface ExternalUses {
  readonly reads?: readonly AnyArray[] | undefined
  readonly writes?: readonly AnyArray[] | undefined
}

const usesNames: ReadonlySet<string> = new Set(["reads", "writes"] satisfies (keyof ExternalUses)[])

/**
 * A queue of work on a device. What is queued on one stream runs in the order of the calls; two streams run side by
 * side, but for what events and waits order.
 *
 * Made by {@link Device.createStream}. In the words of PyTorch, `torch.cuda.Stream`; of CUDA, a non-blocking stream.
 */
export class Stream {
  /** The device that the stream's work runs on. */
  readonly device: Device
  /** A number of its own, never given to another stream. */
  readonly id: number
  /** Its name in errors, graphs and traces. */
  readonly name: string
  /** Lower numbers run first; 0 is the least. */
  readonly priority: number
  /** @internal */
  readonly state: StreamState

  /** @internal */
  constructor(device: Device, id: number, name: string, priority: number, state: StreamState) {
    this.device = device
    this.id = id
    this.name = name
    this.priority = priority
    this.state = state
  }

  /**
   * The stream's number in the device's own library (`CUstream`), for use with other libraries. After you read it,
   * other libraries may queue work here unseen, so no wait on this stream is skipped any more. Prefer {@link external}.
   */
  get handle(): bigint {
    this.state.enter()
    this.state.shared = true
    return this.device.shareHandle(this)
  }

  /** Has it been disposed of? */
  get disposed(): boolean {
    return this.state.disposed
  }

  /**
   * Records an event behind everything that is queued here so far.
   *
   * @param event of this device; a new one is made if none is given
   */
  record(event: Event = this.device.createEvent()): Event {
    if (!(event instanceof Event)) {
      throw mustBe("event", "an Event, or left out", event)
    }
    return event.device === this.device ? event.recordOn(this) : event.record(this)
  }

  /**
   * Makes what is queued here later run after an event's latest record, or after everything that is queued on another
   * stream so far.
   */
  wait(target: Event | Stream): void {
    if (target instanceof Event) return target.device === this.device ? target.waitOn(this) : target.wait(this)
    if (!(target instanceof Stream)) {
      throw mustBe("target", "an Event or a Stream", target)
    }
    checkStreamOf(this.device, target, this.name)
    target.state.enter()
    if (target !== this) this.state.waitFor(target.state)
  }

  /**
   * Makes this the current stream of its device inside `fn`, across its awaits.
   *
   * @returns what `fn` returns
   */
  run<T>(fn: () => T): T {
    checkFunction(fn, "fn")
    this.state.checkCurrent()
    return runIn(context().withStream(this), fn)
  }

  /**
   * Lets another library queue work here. The arrays that it uses are named, so that they can be disposed of at once
   * and others can be ordered with it.
   *
   * @param fn gets the stream's number in the device's own library, and queues before it returns
   * @example
   * stream.external({ reads: [input], writes: [output] }, (handle) => library.run(handle, input.address, output.address))
   */
  external<T>(uses: ExternalUses, fn: (handle: bigint) => T): T {
    const { all, reads, writes } = usedArrays(uses, this.device)
    checkFunction(fn, "fn")
    this.state.enter()
    for (const array of all) prepareSpan(this.state, array)
    try {
      return fn(this.device.driver.foreignHandle(this.state.handle))
    } finally {
      // Whatever was thrown, something may have been queued before.
      const tick = this.state.advance("external")
      for (const array of reads) useSpan(this.state, array, tick, false)
      for (const array of writes) useSpan(this.state, array, tick, true)
    }
  }

  #enterToLook(what: string): void {
    this.state.order.captures.checkLookAt(this.state, what)
    this.state.enter()
  }

  /** Is everything that was queued here done? Throws what broke the stream. */
  query(): boolean {
    this.#enterToLook("be queried")
    return this.device.order.queryStream(this.state)
  }

  /** Blocks the calling thread until everything that was queued here is done. Throws what broke the stream. */
  synchronize(): void {
    this.#enterToLook("be synchronised")
    this.device.order.synchronizeStream(this.state)
  }

  /** A promise of everything that is queued here so far. Does not block the event loop. */
  completed(options: CompletionOptions = {}): Promise<void> {
    return streamCompletion(this.state, options)
  }

  /** Ends the stream. Queued work is finished first; nothing is waited for. */
  dispose(): void {
    this.state.order.captures.checkFree(this.state, "be disposed of")
    this.device.disposeStream(this)
  }

  /** The same as {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Declared uses. */
export interface UsedArrays {
  readonly reads: readonly AnyArray[]
  readonly writes: readonly AnyArray[]
  readonly all: readonly AnyArray[]
}

/** The arrays of declared uses, checked to be of the device. */
export function usedArrays(uses: ExternalUses, device: Device): UsedArrays {
  checkOptions(uses, "uses", usesNames)
  const reads = checkedArrays(uses?.reads, "reads", device)
  const writes = checkedArrays(uses?.writes, "writes", device)
  return { reads, writes, all: [...reads, ...writes] }
}

function checkedArrays(list: unknown, what: string, device: Device): AnyArray[] {
  return listOf(list, what).map((array) => {
    if (!(array instanceof DeviceArray || array instanceof PinnedArray)) {
      throw new AuxstreamError("AUX_INVALID_ARGUMENT", `uses name ${show(array)}; they name device and pinned arrays`)
    }
    array.checkUsable()
    if (array.device !== device) {
      throw new AuxstreamError(
        "AUX_DEVICE_MISMATCH",
        `${array.description} is used on a stream of ${device.id}; use arrays on their own device`,
      )
    }
    return array
  })
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (value === undefined) return []
  if (Array.isArray(value)) return value
  throw mustBe(what, "an array of arrays, or left out", value)
}
