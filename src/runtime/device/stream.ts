import { checkFunction, checkOptions, mustBe } from "../../common/check.js"
import { type CompletionOptions, streamCompletion } from "../order/completion.js"
import { context, runIn } from "./context.js"
import { checkStreamOf } from "./current.js"
import { accept, begin, prepare, refuse } from "../capture/operation.js"
import type { Device } from "./device.js"
import type { AnyArray } from "./array/arrays.js"
import { DeviceArray } from "./array/device-array.js"
import { AuxstreamError } from "../../common/errors.js"
import { Event } from "./event.js"
import { PinnedArray } from "./array/pinned-array.js"
import { IndirectUses } from "../memory/indirect-uses.js"
import { OwnerRef } from "./owner-ref.js"
import { OperationType } from "../order/observer/operation.js"
import type { StreamState } from "../order/stream-state.js"
import { showCall } from "../order/observer/observers.js"
import { queryStream, synchronizeStream } from "../order/synchronize.js"

/** Arrays that work uses without the library seeing it: work of another library, or accesses through a kernel's own pointers. */
export interface ExternalUses {
  /** Arrays that the work reads. */
  readonly reads?: readonly AnyArray[] | undefined
  /** Arrays that the work writes, or both reads and writes. */
  readonly writes?: readonly AnyArray[] | undefined
}

const external = new OperationType("external", "external", [])
const none: readonly never[] = []

const usesNames: ReadonlySet<string> = new Set(["reads", "writes"] satisfies (keyof ExternalUses)[])

/**
 * A queue of work on a device. Operations of one stream run in the order of the calls. Two streams run side by side, unless
 * events or waits order them.
 *
 * Made by {@link Device.createStream}. PyTorch: `torch.cuda.Stream`. CUDA: a non-blocking stream (`CUstream`).
 *
 * @example
 * aux.wait(stream) // aux runs after everything queued on stream so far
 * aux.run(() => scale.launch({ grid: 1, block: 256 }, 256, 2, x)) // beside work queued on stream later
 * stream.wait(aux) // work queued on stream from now on can use x
 */
export class Stream {
  /** The device of the stream. */
  readonly device: Device
  /** A number that is unique on its device and never reused. */
  readonly id: number
  /** The stream's name in errors, graphs and traces. */
  readonly name: string
  /** The priority: streams with lower numbers run first. 0 is the lowest priority. */
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
    state.id = id
    state.ownerRef = OwnerRef.to(this)
  }

  /**
   * The stream's handle in the device's own library (`CUstream`), for other libraries. Once you read it, other code may
   * queue work here that the library does not see, so from then on no wait for this stream is skipped. Prefer
   * {@link external}.
   *
   * @throws DisposedError, AuxstreamError AUX_STREAM_CAPTURING
   */
  get handle(): bigint {
    this.state.enter()
    this.state.order.named()
    this.state.shared = true
    return this.device.streams.share(this)
  }

  /** Whether the stream has been disposed of. */
  get disposed(): boolean {
    return this.state.disposed
  }

  /**
   * Records an event after everything queued here so far. CUDA: `cuEventRecord`. PyTorch: `stream.record_event`.
   *
   * @param event an event of the same device; default: a new event
   * @returns the event
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DEVICE_MISMATCH, AUX_DISPOSED, AUX_STREAM_CAPTURING
   */
  record(event: Event = this.device.createEvent()): Event {
    if (!(event instanceof Event)) {
      throw mustBe("event", "an Event or undefined", event)
    }
    this.state.order.named()
    return event.device === this.device ? event.recordOn(this) : event.record(this)
  }

  /**
   * Makes everything queued here later run after an event's latest record, or after everything queued on another stream so
   * far. Waiting for an unrecorded event does nothing. CUDA: `cuStreamWaitEvent`. PyTorch: `wait_event`, `wait_stream`.
   *
   * @param target an event or a stream of the same device
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DEVICE_MISMATCH, AUX_DISPOSED, AUX_STREAM_CAPTURING
   */
  wait(target: Event | Stream): void {
    this.state.order.named()
    if (target instanceof Event) return target.device === this.device ? target.waitOn(this) : target.wait(this)
    if (!(target instanceof Stream)) {
      throw mustBe("target", "an Event or a Stream", target)
    }
    checkStreamOf(this.device, target, this.name)
    target.state.enter()
    if (target !== this) this.state.waitFor(target.state)
  }

  /**
   * Makes this the current stream of its device inside `fn`, across its awaits. PyTorch: `with torch.cuda.stream(s)`.
   *
   * @param fn queues work; sync or async
   * @returns what `fn` returns
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DISPOSED, AUX_STREAM_CAPTURING
   * @example
   * stream.run(() => scale.launch({ grid: 1, block: 256 }, 3, 2, x))
   */
  run<T>(fn: () => T): T {
    checkFunction(fn, "fn")
    this.state.checkCurrent()
    const { order } = this.state
    if (!order.isWatched) return runIn(context().withStream(this), fn)
    order.named()
    try {
      return runIn(context().withStream(this), fn)
    } finally {
      order.named()
    }
  }

  /** @internal Like {@link run}, for the library itself: the program has not named the stream. */
  runOwn<T>(fn: () => T): T {
    this.state.checkCurrent()
    return runIn(context().withStream(this), fn)
  }

  /**
   * Lets another library queue work here. Name the arrays that its work uses: then you may dispose of them right after the
   * call, and you can order their other uses with this one.
   *
   * @param uses the arrays that the work reads and writes
   * @param fn gets the stream's handle in the device's own library (`CUstream`); must queue its work before it returns
   * @returns what `fn` returns
   * @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_DEVICE_MISMATCH, AUX_DISPOSED, AUX_STREAM_CAPTURING
   * @example
   * stream.external({ reads: [input], writes: [output] }, (handle) => library.run(handle, input.address, output.address))
   */
  external<T>(uses: ExternalUses, fn: (handle: bigint) => T): T {
    const indirect = indirectUses(uses, this.device)
    checkFunction(fn, "fn")
    const operation = begin(this.state, external, none, indirect, true)
    try {
      prepare(this.state, indirect, indirect.spans)
    } catch (error) {
      throw refuse(operation, error)
    }
    try {
      return fn(this.device.driver.streams.foreignHandle(this.state.handle))
    } finally {
      // Even if `fn` threw, it may have queued work before.
      accept(this.state, external, none, indirect, operation)
    }
  }

  #enterToLook(what: string): void {
    this.state.order.named()
    this.state.order.captures.checkLookAt(this.state, what)
    this.state.enter()
  }

  /**
   * Whether everything queued here is done. CUDA: `cuStreamQuery`.
   *
   * @throws AuxstreamError AUX_DISPOSED, AUX_STREAM_CAPTURING; on a broken stream the error that broke it
   */
  query(): boolean {
    this.#enterToLook("be queried")
    return queryStream(this.state)
  }

  /**
   * Blocks the calling thread until everything queued here is done. CUDA: `cuStreamSynchronize`.
   *
   * @throws AuxstreamError AUX_DISPOSED, AUX_STREAM_CAPTURING; on a broken stream the error that broke it
   */
  synchronize(): void {
    this.#enterToLook("be synchronised")
    if (this.state.order.isWatched) showCall("synchronize", () => synchronizeStream(this.state))
    else synchronizeStream(this.state)
  }

  /**
   * Resolves once everything queued here so far is done. Does not block the event loop. Keeps the process alive.
   *
   * @param options a signal that ends the wait
   * @param options.signal rejects the promise with its reason; the queued work continues
   * @throws (as a rejection) AuxstreamError AUX_DISPOSED, AUX_STREAM_CAPTURING; on a broken stream the error that broke it
   */
  completed(options: CompletionOptions = {}): Promise<void> {
    this.state.order.named()
    return showCall("completed", () => streamCompletion(this.state, options))
  }

  /**
   * Ends the stream; does not wait. Queued work still finishes.
   *
   * @throws AuxstreamError AUX_STREAM_CAPTURING while the stream is part of a capture
   */
  dispose(): void {
    this.state.order.named()
    this.state.order.captures.checkDisposable(this.state)
    this.device.streams.dispose(this)
  }

  /** Calls {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Checks that the uses are arrays of the device. */
export function indirectUses(uses: ExternalUses, device: Device): IndirectUses {
  checkOptions(uses, "uses", usesNames)
  const indirect = new IndirectUses()
  for (const array of checkedArrays(uses?.reads, "reads", device)) indirect.add(array, "read")
  for (const array of checkedArrays(uses?.writes, "writes", device)) indirect.add(array, "write")
  return indirect
}

function checkedArrays(list: unknown, what: string, device: Device): AnyArray[] {
  return listOf(list, what).map((array, index) => {
    if (!(array instanceof DeviceArray || array instanceof PinnedArray)) {
      throw mustBe(`uses.${what}[${index}]`, "a DeviceArray or a PinnedArray", array)
    }
    array.checkUsable()
    if (array.device !== device) {
      throw new AuxstreamError(
        "AUX_DEVICE_MISMATCH",
        `\`uses.${what}[${index}]\` must be on the stream's device, ${device.id}; got one on ${array.device.id}`,
      )
    }
    return array
  })
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (value === undefined) return []
  if (Array.isArray(value)) return value
  throw mustBe(`uses.${what}`, "an array or undefined", value)
}
