/** What the sanitizer remembers of accesses. It keeps no object of the program, and no memory. */
import type { AccessRole, OperationKind, OperationType } from "../../runtime/order/observer/operation.js"
import type { RegionPart } from "../../runtime/order/observer/region.js"
import type { Birth } from "./birth.js"
import type { Frame } from "../source/stack.js"
import type { Lane } from "./lane.js"

/** An operation that was queued, or is about to be. */
export class QueuedOperation {
  #lane: Lane
  /** Its number in the lane, once it is queued. */
  tick = 0
  #type: OperationType
  region: RegionPart | undefined
  stack: readonly Frame[] | undefined
  /** The number of accesses that refer to it. */
  #accesses = 0
  readonly #isReusable: boolean

  /** @param isReusable whether only accesses refer to it */
  constructor(
    lane: Lane,
    type: OperationType,
    region: RegionPart | undefined,
    stack: readonly Frame[] | undefined,
    isReusable = false,
  ) {
    this.#lane = lane
    this.#type = type
    this.region = region
    this.stack = stack
    this.#isReusable = isReusable
  }

  get lane(): Lane {
    return this.#lane
  }

  get kind(): OperationKind {
    return this.#type.kind
  }

  get label(): string {
    return this.#type.label
  }

  /** Whether nothing refers to it, so that it can become another operation. */
  get isSpare(): boolean {
    return this.#isReusable && this.#accesses === 0
  }

  /** An access refers to it now. */
  retain(): void {
    this.#accesses++
  }

  /** An access refers to another operation now. */
  release(): void {
    this.#accesses--
  }

  /**
   * Makes it the latest operation of a lane. Only for a spare one. A store to an old object is not free, and most values stay
   * the same.
   */
  reuse(lane: Lane, type: OperationType, region: RegionPart | undefined, stack: readonly Frame[] | undefined): void {
    this.tick = lane.tick
    if (this.#lane !== lane) this.#lane = lane
    if (this.#type !== type) this.#type = type
    if (this.region !== region) this.region = region
    if (this.stack !== stack) this.stack = stack
  }

  /** It becomes a later operation of the same kind on the same lane, and so do all accesses that refer to it. */
  become(later: QueuedOperation): void {
    this.tick = later.tick
    this.region = later.region
    this.stack = later.stack
  }

  /** The same operation as a part of a conditional: it runs where the conditional runs. */
  inside({ lane, tick }: QueuedOperation): QueuedOperation {
    const inside = new QueuedOperation(lane, this.#type, this.region, this.stack)
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
  #operation: QueuedOperation
  role: AccessRole
  /** The operation inside a graph. */
  node: OperationName | undefined
  /** Whether it uses memory of another library, whose uses the library does not know when it reuses addresses. */
  isWrapped: boolean
  /** If these are the first contents of an array. */
  birth: Birth | undefined

  constructor(operation: QueuedOperation, role: AccessRole, node: OperationName | undefined, isWrapped: boolean) {
    operation.retain()
    this.#operation = operation
    this.role = role
    this.node = node
    this.isWrapped = isWrapped
  }

  get operation(): QueuedOperation {
    return this.#operation
  }

  /** Replaces an access that is not needed any more. Only one segment may refer to it. */
  set(operation: QueuedOperation, role: AccessRole, node: OperationName | undefined, isWrapped: boolean): void {
    operation.retain()
    this.#operation.release()
    this.#operation = operation
    // A store to an old object is not free, and most values stay the same.
    if (this.role !== role) this.role = role
    if (this.node !== node) this.node = node
    this.isWrapped = isWrapped
    if (this.birth !== undefined) this.birth = undefined
  }

  copy(): PastAccess {
    const copy = new PastAccess(this.operation, this.role, this.node, this.isWrapped)
    copy.birth = this.birth
    return copy
  }

  get isWrite(): boolean {
    return this.role.isWrite
  }
}
