/**
 * The one way to queue an operation, at once or as part of a capture:
 *
 * 1. {@link begin} refuses a stream that cannot be queued on, and shows the operation to an observer;
 * 2. {@link prepare} makes it run after the births of the memory that it uses;
 * 3. the driver queues it; {@link refuse} if that fails;
 * 4. {@link accept} counts it, and notes with the memory that it was used.
 *
 * {@link queueOperation} does all four. A launch calls them one by one, because a function made for each launch would cost
 * more than they do.
 */
import { Access, Operation, type OperationType, type OperandUses } from "../order/operation.js"
import type { StreamFailures } from "../../driver.js"
import type { IndirectUses } from "../memory/indirect-uses.js"
import type { Span } from "../memory/used-memory.js"
import type { StreamState } from "../order/stream-state.js"
import { tell } from "../order/told-failures.js"
import { captureOf } from "./capture.js"

/** What an operation is given: memory, or a scalar. Its {@link OperationType} says how it uses each. */
export type Operand = Span | number | bigint

/**
 * Queues one operation. A failed submission changes nothing.
 *
 * @param isStreamNamed whether the caller named the stream, so that no observer may choose another
 * @param submit has the driver queue the operation on the stream that it is given. It returns the scratch memory that the
 * operation uses, if any, after {@link prepare}
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

/**
 * Refuses a stream that cannot be queued on, and shows the operation to an observer, which may refuse it, too.
 *
 * @returns the operation if somebody looks at it: its stream is the one to queue on
 */
export function begin(
  stream: StreamState,
  type: OperationType,
  operands: readonly Operand[],
  indirect: IndirectUses | undefined,
  isStreamNamed: boolean,
): Operation | undefined {
  if (stream.order.isWatched) {
    return new Operation(type, stream, accessesOf(type, operands, indirect)).show(isStreamNamed)
  }
  stream.checkUsable()
  return undefined
}

/** Describes what an operation does with memory. */
export function accessesOf(
  type: OperationType,
  operands: readonly Operand[],
  indirect: IndirectUses | undefined,
): Access[] {
  const { positions, modes } = type
  const accesses: Access[] = []
  for (const [index, position] of positions.entries()) {
    const operand = operands[position]
    const mode = modes[index]
    if (mode === undefined || typeof operand !== "object") continue
    const { allocation, address, byteLength, rows } = operand
    accesses.push(new Access(allocation, address, byteLength, mode, type.pathOf(position), undefined, rows))
  }
  return indirect === undefined ? accesses : [...accesses, ...indirect.accesses()]
}

/** Makes an operation run after the births of its memory. Refuses garbage that a failure has left where it reads. */
export function prepare(stream: StreamState, uses: OperandUses, operands: readonly Operand[]): void {
  if (uses.overwrite || stream.capture !== undefined || stream.mustCheckWritten) {
    return prepareWithCare(stream, uses, operands)
  }
  const { positions } = uses
  for (let index = 0; index < positions.length; index++) {
    const operand = operands[positions[index] ?? 0]
    if (typeof operand === "object") operand.allocation.birth?.orderBefore(stream)
  }
}

function prepareWithCare(stream: StreamState, { positions, modes }: OperandUses, operands: readonly Operand[]): void {
  const mustCheck = stream.mustCheckWritten
  const isCaptured = stream.capture !== undefined
  for (let index = 0; index < positions.length; index++) {
    const operand = operands[positions[index] ?? 0]
    const mode = modes[index]
    if (typeof operand !== "object") continue
    if (mustCheck && mode !== "overwrite") checkWritten(stream, operand)
    if (isCaptured) captureOf(stream)?.prepare(operand.allocation, stream)
    else if (mode === "overwrite") prepareOverwrite(stream, operand)
    else operand.allocation.birth?.orderBefore(stream)
  }
}

/** What is there does not matter to an operation that overwrites it. */
function prepareOverwrite(stream: StreamState, { allocation: { birth }, byteLength }: Span): void {
  if (birth === undefined) return
  if (stream.failures === undefined) birth.orderBefore(stream)
  else birth.orderOverwriteBefore(stream, byteLength)
}

/** Refuses bytes that a failure has left as garbage; in a capture, its launches do. */
function checkWritten(stream: StreamState, span: Span): void {
  if (stream.capture === undefined) span.allocation.writes?.check(span.address, span.byteLength, stream.failures)
  else captureOf(stream)?.memory.accesses.read(span)
}

/** The operation could not be queued. Gives the error back, to be thrown. */
export function refuse(operation: Operation | undefined, error: unknown): unknown {
  operation?.refused(error)
  return tell(error)
}

/** The driver has accepted the operation: counts it, and notes its uses of memory. Returns its tick. */
export function accept(
  stream: StreamState,
  uses: OperandUses,
  operands: readonly Operand[],
  indirect: IndirectUses | undefined,
  operation: Operation | undefined,
): number {
  const tick = stream.advance(operation)
  const isCaptured = stream.capture !== undefined
  note(stream, uses, operands, tick, isCaptured)
  if (indirect !== undefined) note(stream, indirect, indirect.spans, tick, isCaptured)
  operation?.accepted(tick)
  return tick
}

function note(
  stream: StreamState,
  { positions, modes }: OperandUses,
  operands: readonly Operand[],
  tick: number,
  isCaptured: boolean,
): void {
  const { failures } = stream
  for (let index = 0; index < positions.length; index++) {
    const operand = operands[positions[index] ?? 0]
    if (typeof operand !== "object") continue
    if (isCaptured) captureOf(stream)?.use(operand.allocation, stream, tick)
    else operand.allocation.uses.note(stream, tick)
    if (failures === undefined) continue
    const mode = modes[index]
    if (mode !== "read") noteWrite(stream, failures, operand, mode === "overwrite")
  }
}

function noteWrite(stream: StreamState, failures: StreamFailures, span: Span, overwrites: boolean): void {
  const { allocation, address, byteLength } = span
  if (stream.capture !== undefined) captureOf(stream)?.memory.accesses.write(span, overwrites)
  else if (!overwrites) allocation.writes?.note(failures, address, byteLength)
  else {
    allocation.birth?.noteOverwrite(stream, byteLength)
    allocation.writes?.overwrite(failures, address, byteLength)
  }
}
