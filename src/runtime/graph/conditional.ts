import type { ConditionalKind } from "../../driver/graphs.js"
import type { EventHandle, StreamHandle } from "../../driver/handles.js"
import type { OrderMark } from "../../driver/memory.js"
import { Capture, captureOf } from "../capture/capture.js"
import { accept, begin, prepare, refuse } from "../capture/operation.js"
import { checkFunction, mustBe } from "../../common/check.js"
import type { VectorClock } from "../clock/vector-clock.js"
import { context, runIn } from "../device/context.js"
import type { AnyArray } from "../device/array/arrays.js"
import { DeviceArray } from "../device/array/device-array.js"
import { AuxstreamError } from "../../common/errors.js"
import { OperationType } from "../order/observer/operation.js"
import type { UsedMemory } from "../memory/used-memory.js"
import { PinnedArray } from "../device/array/pinned-array.js"
import { currentStream } from "../device/current.js"
import type { Stream } from "../device/stream.js"
import type { StreamState } from "../order/stream-state.js"
import { adopt } from "../../common/results/thenable.js"

/** An array of length 1 in device or pinned memory, whose number decides. Zero is false. */
export type Condition = DeviceArray<"int32"> | PinnedArray<"int32">

/** Any function but an async one. The compiler shows this text for an async one. */
type Sync<T> = (() => T) &
  ([Thenable<T>] extends [never]
    ? unknown
    : "the function must not be async, because the body is captured while it runs")

/** The part of a type that is a promise; never for `any`. */
type Thenable<T> = 0 extends 1 & T ? never : Extract<T, PromiseLike<unknown>>

/**
 * Captures work that runs only if a number on the device is not zero when the graph reaches this point. The device decides
 * at each launch, without the host. Call this inside {@link captureGraph}.
 *
 * Each function is called once, now, and everything that it queues becomes a body of the conditional, forks included. The
 * conditional is one operation of the current stream, so its bodies cannot wait for events that were recorded outside them.
 * On CUDA this needs a driver for CUDA 12.4 or later, and such a graph cannot be launched inside another capture.
 *
 * CUDA: a conditional node (`cuGraphAddNode`). PyTorch: `torch.cond`.
 *
 * @param condition an int32 array of length 1
 * @param then queues the work that runs if the number is not zero; must not be async
 * @param otherwise queues the work that runs if the number is zero; must not be async
 * @throws AuxstreamError AUX_NOT_CAPTURING outside of `captureGraph`, AUX_INVALID_ARGUMENT, AUX_DTYPE_MISMATCH,
 * AUX_LENGTH_MISMATCH, AUX_DEVICE_UNAVAILABLE if the driver has no conditionals, AUX_DISPOSED
 * @example
 * const graph = captureGraph(() => {
 *   check.launch({ grid: 1, block: 1 }, residual, flag) // whether the residual is large
 *   runIf(flag, () => model(x), () => layer(x))
 * })
 */
export function runIf<T, U>(condition: Condition, then: Sync<T>, otherwise?: Sync<U>): void {
  checkCondition(condition)
  checkFunction(then, "then")
  if (otherwise === undefined) return runBody("if", condition, then)
  checkFunction(otherwise, "otherwise")
  checkCapturing(condition)
  // The first body may write to the condition. Both must use the value before that, so it is copied.
  const decided = condition.device.empty("int32", 1).copyFrom(condition)
  runBody("if", decided, then)
  runBody("unless", decided, otherwise)
  decided.dispose()
}

/**
 * Captures work that is repeated as long as a number on the device is not zero. The device reads the number before each
 * repetition. The loop ends when the body, or another writer of the number, writes a zero. See {@link runIf} for the rest.
 *
 * CUDA: a conditional node (`cuGraphAddNode`). PyTorch: `torch.while_loop`.
 *
 * @param condition an int32 array of length 1
 * @param body queues the work of one repetition; must not be async
 * @throws the same errors as {@link runIf}
 * @example
 * const graph = captureGraph(() => {
 *   runWhile(steps, () => {
 *     relu.launch({ grid: 1, block: 256 }, x)
 *     countDown.launch({ grid: 1, block: 1 }, steps)
 *   })
 * })
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
    const advice = "A kernel writes the number. If JavaScript knows the value during the capture, use `if` instead"
    throw mustBe("condition", "an int32 array of length 1 in device or pinned memory", condition, advice)
  }
  array.checkUsable()
  if (array.dtype !== "int32") {
    throw new AuxstreamError("AUX_DTYPE_MISMATCH", `\`condition\` must be an array of int32; got ${array.description}`)
  }
  if (array.length === 1) return
  throw new AuxstreamError(
    "AUX_LENGTH_MISMATCH",
    `\`condition\` must have one element; got ${array.description}. Use subarray().`,
  )
}

/** The current stream of the condition's device, and its capture. */
function checkCapturing({ device }: Condition): { stream: Stream; capture: Capture } {
  const stream = currentStream(device)
  stream.state.enter()
  const capture = captureOf(stream.state)
  if (capture !== undefined) return { stream, capture }
  throw new AuxstreamError(
    "AUX_NOT_CAPTURING",
    "runIf() and runWhile() must be called inside captureGraph(), because only a graph can decide on the device.",
  )
}

const types: Readonly<Record<ConditionalKind, OperationType>> = {
  if: new OperationType("conditional", "if", ["read"]),
  unless: new OperationType("conditional", "unless", ["read"]),
  while: new OperationType("conditional", "while", ["read"]),
}

/** The capture of a conditional's body. */
class BodyCapture extends Capture {
  readonly #kind: ConditionalKind
  /**
   * The address of the condition. The array itself must not be kept: if it was made inside, it would keep the graph alive.
   */
  readonly #condition: number
  readonly #around: StreamState
  readonly #outer: Capture
  /** The clock of the conditional: everything ordered before it. */
  readonly #before: VectorClock
  /** Streams of the enclosing captures that this body used, each with the inner bodies that used it. */
  readonly #guests = new Map<StreamState, OrderMark[]>()

  constructor(root: StreamState, kind: ConditionalKind, condition: Condition, around: StreamState, outer: Capture) {
    super(root.order, root, outer)
    this.#kind = kind
    this.#condition = condition.address
    this.#around = around
    this.#outer = outer
    this.#before = around.clock
  }

  /** Only if all of the stream's captured work is ordered before the conditional. */
  override mayAdmit(stream: StreamState): boolean {
    if (stream === this.#around) return false
    if (stream.capture === this.#outer) return stream.clock.isBefore(this.#before)
    return this.#outer.mayAdmit(stream) && this.#isAfterBodiesWith(stream)
  }

  #isAfterBodiesWith(stream: StreamState): boolean {
    const bodies = this.#outer instanceof BodyCapture ? this.#outer.#guests.get(stream) : undefined
    return bodies === undefined || bodies.every(({ slot, tick }) => this.#before.isAfter(slot, tick))
  }

  override checkBirth(memory: UsedMemory): void {
    this.#outer.checkBirth(memory)
    if (!this.#outer.owns(memory) || memory.capturedBirth?.isBefore(this.#around) !== false) return
    throw new AuxstreamError(
      "AUX_STREAM_CAPTURING",
      `An array that was made on ${memory.capturedBirth.name} cannot be used in the body of a conditional on ` +
        `${this.#around.name}, which is not ordered after that. Call stream.wait(other) before the conditional.`,
    )
  }

  override admit(stream: StreamState, before: EventHandle | undefined, handle?: StreamHandle): void {
    if (stream.capture !== undefined && !this.#guests.has(stream)) this.#guests.set(stream, [])
    super.admit(stream, before, handle)
  }

  protected override beginInDriver(): void {
    const { driver } = this.order
    driver.graphs.beginConditional(this.#kind, this.#condition, this.#around.handle, this.root.handle)
  }

  protected override cancelInDriver(): void {
    this.order.driver.graphs.cancelConditional(this.root.handle)
  }

  end(): void {
    this.endWith(() => this.order.driver.graphs.endConditional(this.root.handle))
  }

  /**
   * Returns the used streams to the enclosing capture: their next operations run after the conditional, which has this
   * tick.
   */
  releaseStreams(tick: number): void {
    for (const stream of this.#guests.keys()) {
      if (stream.capture === this.#outer) stream.waitFor(this.#around)
      else if (this.#outer instanceof BodyCapture) this.#outer.#addGuest(stream, { slot: this.#around.slot, tick })
    }
  }

  #addGuest(stream: StreamState, body: OrderMark): void {
    this.#guests.set(stream, [...(this.#guests.get(stream) ?? []), body])
  }
}

function runBody(kind: ConditionalKind, condition: Condition, fn: () => unknown): void {
  const { stream, capture } = checkCapturing(condition)
  const { state } = stream
  const type = types[kind]
  const operation = begin(state, type, [condition], undefined, true)
  try {
    prepare(state, type, [condition])
    capture.waitForAllGraphs(state)
    captureBody(kind, condition, state, capture, fn, () => accept(state, type, [condition], undefined, operation))
  } catch (error) {
    throw refuse(operation, error)
  }
}

/** @param accepted counts the conditional as an operation of its stream, and returns the tick */
function captureBody(
  kind: ConditionalKind,
  condition: Condition,
  around: StreamState,
  capture: Capture,
  fn: () => unknown,
  accepted: () => number,
): void {
  const root = condition.device.streams.make(around.priority, `body of ${kind}`)
  const body = new BodyCapture(root.state, kind, condition, around, capture)
  try {
    body.begin()
    callBody(body, root, fn)
    const tick = accepted()
    capture.include(body, around, tick, true)
    body.releaseStreams(tick)
    body.memory.dispose() // From here on, only the enclosing capture holds it.
  } catch (error) {
    // The graph may already contain the conditional with an incomplete body.
    body.cancel()
    capture.invalidate(error)
    throw error
  } finally {
    // Not stream.dispose(), which throws if the stream is still captured. That would hide the error.
    root.device.streams.dispose(root)
  }
}

function callBody(body: BodyCapture, root: Stream, fn: () => unknown): void {
  runIn(context().withStream(root).withScope(undefined).withCapture(body.link), () => {
    const promise = adopt(fn())
    root.device.checkUsable()
    if (promise === undefined) return body.end()
    promise.catch(() => {}) // The error below replaces its rejection.
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      "The function of a conditional must not return a promise, because its body is captured while the function runs.",
    )
  })
}
