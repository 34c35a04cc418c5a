/**
 * The one way to queue an operation, at once or as part of a capture:
 *
 * 1. {@link begin} throws if the stream cannot receive work, and shows the operation to an observer;
 * 2. {@link prepare} makes the operation run after the births of its memory;
 * 3. the driver queues it; {@link refuse} is called if that fails;
 * 4. {@link accept} counts it and notes its uses of memory.
 *
 * {@link queueOperation} does all four. A launch calls them one by one, because creating a function for each launch would
 * cost more than these steps. Plain copies, uploads and fills take {@link prepareTransfer} and {@link acceptTransfer}.
 */
import type { StreamFailures } from "../../driver/streams.js"
import { Operation, type OperationType, type OperandUses } from "../order/observer/operation.js"
import type { IndirectUses } from "../memory/indirect-uses.js"
import type { Span } from "../memory/used-memory.js"
import type { StreamState } from "../order/stream-state.js"
import { tell, unwritten } from "../order/told-failures.js"
import { type Capture, captureOf } from "./capture.js"

/** An operand of an operation: memory, or a scalar. The {@link OperationType} says how it is used. */
export type Operand = Span | number | bigint

/**
 * Queues one operation. A failed submission changes nothing.
 *
 * @param isStreamNamed whether the caller named the stream, so that no observer may choose another
 * @param submit calls the driver to queue the operation on the given stream. Returns the workspace that the operation uses,
 * if any, after {@link prepare}
 * @returns the stream
 */
export function queueOperation(
  stream: StreamState,
  type: OperationType,
  operands: readonly Operand[],
  isStreamNamed: boolean,
  submit: (stream: StreamState) => IndirectUses | undefined,
): StreamState {
  const operation = begin(stream, type, operands, undefined, isStreamNamed)
  const target = operation === undefined ? stream : operation.stream
  let scratch: IndirectUses | undefined
  try {
    prepare(target, type, operands)
    scratch = submit(target)
  } catch (error) {
    throw refuse(operation, error)
  }
  accept(target, type, operands, scratch, operation)
  return target
}

/** {@link queueOperation} for an operation that overwrites one span and uses no other. */
export function queueOverwrite(
  stream: StreamState,
  type: OperationType,
  destination: Span,
  isStreamNamed: boolean,
  submit: (stream: StreamState) => undefined,
): void {
  if (!stream.isPlain) return void queueOperation(stream, type, [destination], isStreamNamed, submit)
  try {
    prepareTransfer(stream, destination, undefined)
    submit(stream)
  } catch (error) {
    throw tell(error)
  }
  acceptTransfer(stream, destination, undefined)
}

/**
 * Throws if the stream cannot receive work. Shows the operation to the observer, which may refuse it, too.
 *
 * @returns the operation if a capture or an observer needs it. Then it must be queued on its `stream`
 */
export function begin(
  stream: StreamState,
  type: OperationType,
  operands: readonly Operand[],
  indirect: IndirectUses | undefined,
  isStreamNamed: boolean,
): Operation | undefined {
  if (stream.order.isWatched) {
    return Operation.show(type, stream, operands, indirect, isStreamNamed, stream.order.captures.region())
  }
  stream.checkUsable()
  return undefined
}

/**
 * Makes an operation run after the births of its memory. Throws if it would read contents that a failed kernel should have
 * written.
 *
 * Every launch calls this and {@link accept}. Their loops are short, so that the engine inlines them.
 */
export function prepare(stream: StreamState, uses: OperandUses, operands: readonly Operand[]): void {
  if (stream.needsCare) return prepareWithCare(stream, uses, operands)
  if (uses.overwrite) return prepareOverwriting(stream, uses, operands)
  for (let index = 0; index < operands.length; index++) {
    const operand = operands[index]
    if (typeof operand === "object") operand.allocation.birth?.orderBefore(stream)
  }
}

function prepareOverwriting(stream: StreamState, { modes }: OperandUses, operands: readonly Operand[]): void {
  for (let index = 0; index < operands.length; index++) {
    const operand = operands[index]
    if (typeof operand !== "object") continue
    if (modes[index] === "overwrite") prepareOverwrite(stream, operand)
    else operand.allocation.birth?.orderBefore(stream)
  }
}

function prepareWithCare(stream: StreamState, uses: OperandUses, operands: readonly Operand[]): void {
  const mustCheck = stream.failures !== undefined
  const isCaptured = stream.capture !== undefined
  for (let index = 0; index < operands.length; index++) {
    const operand = operands[index]
    if (typeof operand !== "object") continue
    const mode = uses.modes[index]
    if (mustCheck && mode !== "overwrite") checkWritten(stream, operand, uses, index)
    if (isCaptured) captureOf(stream)?.prepare(operand.allocation, stream)
    else if (mode === "overwrite") prepareOverwrite(stream, operand)
    else operand.allocation.birth?.orderBefore(stream)
  }
}

/** Makes an operation that overwrites memory run after its birth, whatever its contents are. */
function prepareOverwrite(stream: StreamState, { allocation: { birth }, byteLength }: Span): void {
  if (birth === undefined) return
  if (stream.failures === undefined) birth.orderBefore(stream)
  else birth.orderOverwriteBefore(stream, byteLength)
}

/**
 * {@link prepare} for an operation on a {@link StreamState.isPlain | plain} stream that overwrites one span and reads one
 * other span at most. It needs no list of operands, which would cost a quarter of a copy.
 */
export function prepareTransfer(stream: StreamState, destination: Span, source: Span | undefined): void {
  prepareOverwrite(stream, destination)
  if (source !== undefined) source.allocation.birth?.orderBefore(stream)
}

/** {@link accept} after {@link prepareTransfer}. */
export function acceptTransfer(stream: StreamState, destination: Span, source: Span | undefined): void {
  const tick = stream.advance(undefined)
  destination.allocation.uses.note(stream, tick)
  if (stream.failures !== undefined) noteOverwrite(stream, stream.failures, destination)
  if (source !== undefined) source.allocation.uses.note(stream, tick)
}

/** Throws if a failed kernel should have written these bytes. In a capture, the launches of the graph check that. */
function checkWritten(stream: StreamState, span: Span, uses: OperandUses, index: number): void {
  if (stream.capture !== undefined) return captureOf(stream)?.memory.accesses.read(span)
  try {
    span.allocation.writes?.check(span.address, span.byteLength, stream.failures)
  } catch (error) {
    throw unwritten(uses.nameOf?.(index), error)
  }
}

/** Called if the operation could not be queued. @returns the error, to be thrown */
export function refuse(operation: Operation | undefined, error: unknown): unknown {
  operation?.refused(error)
  return tell(error)
}

/** Called when the driver has accepted the operation: counts it and notes its uses of memory. @returns its tick */
export function accept(
  stream: StreamState,
  uses: OperandUses,
  operands: readonly Operand[],
  indirect: IndirectUses | undefined,
  operation: Operation | undefined,
): number {
  const tick = stream.advance(operation)
  note(stream, uses, operands, tick)
  if (indirect !== undefined) note(stream, indirect, indirect.spans, tick)
  operation?.accepted(tick)
  return tick
}

function note(stream: StreamState, uses: OperandUses, operands: readonly Operand[], tick: number): void {
  if (stream.capture !== undefined) return noteCaptured(stream, captureOf(stream), uses, operands, tick)
  if (uses.overwrite) return noteOverwriting(stream, uses, operands, tick)
  const { failures } = stream
  for (let index = 0; index < operands.length; index++) {
    const operand = operands[index]
    if (typeof operand !== "object") continue
    const { allocation, address, byteLength } = operand
    allocation.uses.note(stream, tick)
    if (failures !== undefined && uses.modes[index] !== "read") allocation.writes?.note(failures, address, byteLength)
  }
}

function noteOverwriting(
  stream: StreamState,
  { modes }: OperandUses,
  operands: readonly Operand[],
  tick: number,
): void {
  const { failures } = stream
  for (let index = 0; index < operands.length; index++) {
    const operand = operands[index]
    if (typeof operand !== "object") continue
    const { allocation, address, byteLength } = operand
    allocation.uses.note(stream, tick)
    const mode = modes[index]
    if (failures === undefined || mode === "read") continue
    if (mode === "overwrite") noteOverwrite(stream, failures, operand)
    else allocation.writes?.note(failures, address, byteLength)
  }
}

function noteOverwrite(
  stream: StreamState,
  failures: StreamFailures,
  { allocation: { birth, writes }, address, byteLength }: Span,
): void {
  birth?.noteOverwrite(stream, byteLength)
  writes?.overwrite(failures, address, byteLength)
}

function noteCaptured(
  stream: StreamState,
  capture: Capture | undefined,
  { modes }: OperandUses,
  operands: readonly Operand[],
  tick: number,
): void {
  for (let index = 0; index < operands.length; index++) {
    const operand = operands[index]
    if (typeof operand !== "object") continue
    capture?.use(operand.allocation, stream, tick)
    const mode = modes[index]
    if (stream.failures !== undefined && mode !== "read") capture?.memory.accesses.write(operand, mode === "overwrite")
  }
}
