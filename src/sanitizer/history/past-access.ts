/** What the sanitizer remembers of accesses. It keeps no object of the program, and no memory. */
import type { AccessRole, OperationKind } from "../../runtime/order/observer/operation.js"
import type { RegionPart } from "../../runtime/order/observer/region.js"
import type { Birth } from "./birth.js"
import type { Frame } from "../source/stack.js"
import type { Lane } from "./lane.js"

/** An operation that was queued, or is about to be. */
export class QueuedOperation {
  readonly lane: Lane
  /** Its number in the lane, once it is queued. */
  tick = 0
  readonly kind: OperationKind
  readonly label: string
  region: RegionPart | undefined
  stack: readonly Frame[] | undefined

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

  /** It becomes a later operation of the same kind on the same lane, and so do all accesses that refer to it. */
  become(later: QueuedOperation): void {
    this.tick = later.tick
    this.region = later.region
    this.stack = later.stack
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

/** The newest access of some bytes by one lane. */
export class PastAccess {
  operation: QueuedOperation
  role: AccessRole
  /** The operation inside a graph. */
  node: OperationName | undefined
  /** Whether it uses memory of another library, whose uses the library does not know when it reuses addresses. */
  isWrapped: boolean
  /** If these are the first contents of an array. */
  birth: Birth | undefined

  constructor(operation: QueuedOperation, role: AccessRole, node: OperationName | undefined, isWrapped: boolean) {
    this.operation = operation
    this.role = role
    this.node = node
    this.isWrapped = isWrapped
  }

  /** Replaces an access that is not needed any more. Only one segment may refer to it. */
  set(operation: QueuedOperation, role: AccessRole, node: OperationName | undefined, isWrapped: boolean): this {
    this.operation = operation
    this.role = role
    this.node = node
    this.isWrapped = isWrapped
    this.birth = undefined
    return this
  }

  copy(): PastAccess {
    const copy = new PastAccess(this.operation, this.role, this.node, this.isWrapped)
    copy.birth = this.birth
    return copy
  }

  get isWrite(): boolean {
    return this.role.mode !== "read"
  }
}
