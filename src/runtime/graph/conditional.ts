import type { ConditionalKind, EventHandle, OrderMark, StreamHandle } from "../../driver.js"
import { Capture, captureOf } from "../capture/capture.js"
import { prepareSpan, useSpan } from "../capture/operation.js"
import { checkFunction } from "../../common/check.js"
import type { VectorClock } from "../order/clock.js"
import { context, runIn } from "../device/context.js"
import type { AnyArray } from "../device/arrays.js"
import { DeviceArray } from "../device/device-array.js"
import { AuxstreamError } from "../../common/errors.js"
import type { UsedMemory } from "../memory/used-memory.js"
import { PinnedArray } from "../device/pinned-array.js"
import { show } from "../../common/show.js"
import { currentStream } from "../device/current.js"
import type { Stream } from "../device/stream.js"
import type { StreamState } from "../order/stream-state.js"
import { adopt } from "../../common/thenable.js"

/** The one number that decides, in device or pinned memory: zero is false. */
export type Condition = DeviceArray<"int32"> | PinnedArray<"int32">

/** Anything but an async function, which the compiler refuses with these words. */
type Sync<T> = (() => T) &
  ([Thenable<T>] extends [never] ? unknown : "the body is captured while the function runs: it cannot be async")

/** What of a type is a promise. Of `any` nothing is known. */
type Thenable<T> = 0 extends 1 & T ? never : Extract<T, PromiseLike<unknown>>

/**
 * Inside a capture: has work run only if a number on the device is not zero when the graph gets there, with no word from
 * the host. What each function queues becomes a body of the conditional, forks included.
 *
 * Streams and events from around cannot be used inside the functions: the conditional itself is one operation of the
 * current stream. On CUDA it needs a driver of 12.4 or later, and the graph cannot be launched inside another capture.
 *
 * @param condition one int32
 * @param then not async: what it queues is the body
 * @param otherwise its work runs if the number is zero
 * @throws AuxstreamError AUX_NOT_CAPTURING outside of `captureGraph`
 * @example
 * const graph = captureGraph(() => {
 *   converged.launch({ grid: 1, block: 1 }, residual, flag)
 *   runIf(flag, () => polish(x), () => iterate(x))
 * })
 *
 * CUDA's conditional nodes (`cuGraphAddNode`); in PyTorch, `torch.cond`.
 */
export function runIf<T, U>(condition: Condition, then: Sync<T>, otherwise?: Sync<U>): void {
  checkCondition(condition)
  checkFunction(then, "then")
  if (otherwise === undefined) return runBody("if", condition, then)
  checkFunction(otherwise, "otherwise")
  checkCapturing(condition)
  // The first body may write to the condition: both go by what it was.
  const decided = condition.device.empty("int32", 1).copyFrom(condition)
  runBody("if", decided, then)
  runBody("unless", decided, otherwise)
  decided.dispose()
}

/**
 * Inside a capture: has work run again and again as long as a number on the device is not zero. It is looked at before
 * each run; the body writes to it, or the loop never ends. As for everything else, see {@link runIf}.
 *
 * @param condition one int32
 * @param body not async: what it queues is the body
 * @throws AuxstreamError AUX_NOT_CAPTURING outside of `captureGraph`
 */
export function runWhile<T>(condition: Condition, body: Sync<T>): void {
  checkCondition(condition)
  checkFunction(body, "body")
  runBody("while", condition, body)
}

function checkCondition(condition: unknown): asserts condition is Condition {
  const array: AnyArray | undefined =
    condition instanceof DeviceArray || condition instanceof PinnedArray ? condition : undefined
  if (array === undefined) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `condition is ${show(condition)}; it is an int32 array of one element, which the device looks at: have a kernel ` +
        "write to it. What JavaScript knows already is decided with if",
    )
  }
  array.checkUsable()
  if (array.dtype !== "int32") {
    throw new AuxstreamError("AUX_DTYPE_MISMATCH", `condition is ${array.description}; it is of int32`)
  }
  if (array.length === 1) return
  throw new AuxstreamError("AUX_LENGTH_MISMATCH", `condition is ${array.description}; it has one: use subarray()`)
}

/** The current stream of the condition's device, and the capture that it takes part in. */
function checkCapturing({ device }: Condition): { stream: Stream; capture: Capture } {
  const stream = currentStream(device)
  stream.state.enter()
  const capture = captureOf(stream.state)
  if (capture !== undefined) return { stream, capture }
  throw new AuxstreamError(
    "AUX_NOT_CAPTURING",
    "runIf() and runWhile() decide on the device, which only a graph can: call them inside captureGraph()",
  )
}

/** The body of a conditional, while it is captured. */
class BodyCapture extends Capture {
  readonly #kind: ConditionalKind
  /** The address of its int32. The array itself would keep the graph, should it have been made inside. */
  readonly #condition: number
  readonly #around: StreamState
  readonly #outer: Capture
  /** What the conditional is behind. */
  readonly #behind: VectorClock
  /** Streams of captures around this one that took part in it, with the bodies in it in which they did. */
  readonly #borrowed = new Map<StreamState, OrderMark[]>()

  constructor(root: StreamState, kind: ConditionalKind, condition: Condition, around: StreamState, outer: Capture) {
    super(root.order, root, outer)
    this.#kind = kind
    this.#condition = condition.address
    this.#around = around
    this.#outer = outer
    this.#behind = around.clock
  }

  /** If the conditional is behind all that it has captured there, so that its order stays one. */
  override mayBorrow(stream: StreamState): boolean {
    if (stream === this.#around) return false
    if (stream.capture === this.#outer) return stream.clock.isCoveredBy(this.#behind)
    return this.#outer.mayBorrow(stream) && this.#isBehindBodiesWith(stream)
  }

  #isBehindBodiesWith(stream: StreamState): boolean {
    const bodies = this.#outer instanceof BodyCapture ? this.#outer.#borrowed.get(stream) : undefined
    return bodies === undefined || bodies.every(({ slot, tick }) => this.#behind.covers(slot, tick))
  }

  override checkBirth(memory: UsedMemory): void {
    this.#outer.checkBirth(memory)
    if (!this.#outer.owns(memory) || memory.capturedBirth?.isBefore(this.#around) !== false) return
    throw new AuxstreamError(
      "AUX_STREAM_CAPTURING",
      `an array that ${memory.capturedBirth.name} made cannot be used in the body of a conditional on ${this.#around.name}, which is not ordered ` +
        "behind that; make the conditional's stream wait first: stream.wait(other)",
    )
  }

  override admit(stream: StreamState, before: EventHandle | undefined, handle?: StreamHandle): void {
    if (stream.capture !== undefined && !this.#borrowed.has(stream)) this.#borrowed.set(stream, [])
    super.admit(stream, before, handle)
  }

  protected override beginInDriver(): void {
    const { driver } = this.order
    driver.beginConditional(this.#kind, this.#condition, this.#around.handle, this.root.handle)
  }

  protected override cancelInDriver(): void {
    this.order.driver.cancelConditional(this.root.handle)
  }

  end(): void {
    this.endWith(() => this.order.driver.endConditional(this.root.handle))
  }

  /** It has become the operation of this tick: what its streams capture next comes behind that, as on any stream. */
  giveBackStreams(tick: number): void {
    for (const stream of this.#borrowed.keys()) {
      if (stream.capture === this.#outer) stream.waitFor(this.#around)
      else if (this.#outer instanceof BodyCapture) this.#outer.#lend(stream, { slot: this.#around.slot, tick })
    }
  }

  #lend(stream: StreamState, body: OrderMark): void {
    this.#borrowed.set(stream, [...(this.#borrowed.get(stream) ?? []), body])
  }
}

function runBody(kind: ConditionalKind, condition: Condition, fn: () => unknown): void {
  const { stream, capture } = checkCapturing(condition)
  const { state } = stream
  capture.waitForAllGraphs(state)
  const root = condition.device.makeStream(state.priority, `body of ${kind}`)
  const body = new BodyCapture(root.state, kind, condition, state, capture)
  prepareSpan(state, condition)
  try {
    body.begin()
    captureBody(body, root, fn)
    const tick = state.advance(kind)
    useSpan(state, condition, tick, false)
    capture.include(body, state, tick, true)
    body.giveBackStreams(tick)
    body.memory.dispose() // It is the other capture's alone from here on.
  } catch (error) {
    // The conditional may stand in the graph already, with half a body.
    body.cancel()
    capture.invalidate(error)
    throw error
  } finally {
    // Not by its public name, which refuses where the driver cannot say whether others capture it: that would hide the error.
    root.device.disposeStream(root)
  }
}

function captureBody(body: BodyCapture, root: Stream, fn: () => unknown): void {
  runIn(context().withStream(root).withScope(undefined).withCapture(body.link), () => {
    const promise = adopt(fn())
    if (promise === undefined) return body.end()
    promise.catch(() => {}) // What is wrong is said here.
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      "the function of a conditional returned a promise; its body is captured while the function runs: make it sync",
    )
  })
}
