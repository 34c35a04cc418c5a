/** What the sanitizer remembers of accesses. It keeps no object of the program, and no memory. */
import type { AccessMode, OperationKind } from "../runtime/order/operation.js"
import type { RegionPart } from "../runtime/order/region.js"
import type { Frame } from "./stack.js"
import type { Lane } from "./lane.js"

/** An operation that was queued, or is about to be. */
export class QueuedOperation {
  readonly lane: Lane
  /** Its number in the lane, once it is queued. */
  tick = 0
  readonly kind: OperationKind
  readonly label: string
  readonly region: RegionPart | undefined
  readonly stack: readonly Frame[] | undefined

  constructor(
    lane: Lane,
    kind: OperationKind,
    label: string,
    region: RegionPart | undefined,
    stack: readonly Frame[] | undefined,
  ) {
    this.lane = lane
    this.kind = kind
    this.label = label
    this.region = region
    this.stack = stack
  }

  /** The same operation as a part of a conditional: it runs where the conditional runs. */
  inside({ lane, tick }: QueuedOperation): QueuedOperation {
    const inside = new QueuedOperation(lane, this.kind, this.label, this.region, this.stack)
    inside.tick = tick
    return inside
  }
}

/** What an operation is. */
export interface OperationName {
  readonly kind: OperationKind
  /** The kernel's name, or the kind of operation. */
  readonly label: string
}

/** How an operation uses bytes, and as what. */
export interface AccessFacts {
  readonly mode: AccessMode
  /** The kernel's argument. */
  readonly argument: string | undefined
  /** The name of a module's global. */
  readonly name: string | undefined
  /** The operation inside a graph. */
  readonly node: OperationName | undefined
  /** Whether it uses memory of another library, whose uses the library does not know when it reuses addresses. */
  readonly isWrapped: boolean
}

/** The newest access of some bytes by one lane. */
export class PastAccess implements AccessFacts {
  operation: QueuedOperation
  mode: AccessMode
  argument: string | undefined
  name: string | undefined
  node: OperationName | undefined
  isWrapped: boolean

  constructor(operation: QueuedOperation, { mode, argument, name, node, isWrapped }: AccessFacts) {
    this.operation = operation
    this.mode = mode
    this.argument = argument
    this.name = name
    this.node = node
    this.isWrapped = isWrapped
  }

  /** Replaces an access that is not needed any more. Only one segment may refer to it. */
  set(operation: QueuedOperation, facts: AccessFacts): void {
    this.operation = operation
    this.mode = facts.mode
    this.argument = facts.argument
    this.name = facts.name
    this.node = facts.node
    this.isWrapped = facts.isWrapped
  }

  copy(): PastAccess {
    return new PastAccess(this.operation, this)
  }

  get isWrite(): boolean {
    return this.mode !== "read"
  }
}
