/**
 * What an operation is: what it is called, where it is queued, and which bytes it uses how. An operation is described only
 * when somebody looks: an observer, or a capture, whose nodes keep what they do.
 */
import type { StridedRange } from "../../common/strided.js"
import type { OperationObserver } from "./observer.js"
import type { StreamState } from "./stream-state.js"

/** How an operation uses bytes. A `write` may leave some of them as they are; an `overwrite` leaves none. */
export type AccessMode = "read" | "write" | "readwrite" | "overwrite"

/** What an operation does. */
export type OperationKind =
  | "launch"
  | "copy"
  | "upload"
  | "fill"
  | "read"
  | "matmul"
  | "graph"
  | "conditional"
  | "external"

/** How an operation uses its operands. */
export interface OperandUses {
  /** The places of the operands that are memory. The others are scalars. */
  readonly positions: readonly number[]
  /** For each of these, how the operation uses it. */
  readonly modes: readonly AccessMode[]
  /** Is one of the modes "overwrite"? */
  readonly overwrite: boolean
}

/** What all operations of one sort have in common. Made once. */
export class OperationType implements OperandUses {
  readonly kind: OperationKind
  /** What a graph calls it: a kernel's name, or what the operation is. */
  readonly label: string
  readonly positions: readonly number[]
  readonly modes: readonly AccessMode[]
  readonly overwrite: boolean
  readonly #paths: readonly string[] | undefined

  /**
   * @param modes for each operand; undefined for a scalar
   * @param paths for each operand of a launch, its place among the kernel's arguments
   */
  constructor(
    kind: OperationKind,
    label: string,
    modes: readonly (AccessMode | undefined)[],
    paths?: readonly string[],
  ) {
    this.kind = kind
    this.label = label
    this.positions = modes.flatMap((mode, position) => (mode === undefined ? [] : [position]))
    this.modes = modes.filter((mode) => mode !== undefined)
    this.overwrite = this.modes.includes("overwrite")
    this.#paths = paths
  }

  /** The place of an operand among a kernel's arguments. */
  pathOf(position: number): string | undefined {
    return this.#paths?.[position]
  }
}

/** Bytes that an operation uses, and how. */
export class Access {
  /** The memory's identity: the same object for an array and all of its views. */
  readonly memory: object
  /** On the device; on host, bytes from the start of the device's memory. */
  readonly address: number
  readonly byteLength: number
  readonly mode: AccessMode
  /** The place of a kernel's argument, as messages have it: `2`, or `2.table` in a struct. */
  readonly argument: string | undefined
  /** What the kernel's code calls it, if no argument leads there: a global's name. */
  readonly name: string | undefined
  /** The rows that it uses, if it leaves out what lies between them. */
  readonly rows: StridedRange | undefined

  constructor(
    memory: object,
    address: number,
    byteLength: number,
    mode: AccessMode,
    argument?: string,
    name?: string,
    rows?: StridedRange,
  ) {
    this.memory = memory
    this.address = address
    this.byteLength = byteLength
    this.mode = mode
    this.argument = argument
    this.name = name
    this.rows = rows
  }
}

/** One operation of a graph. */
export interface PlannedOperation {
  readonly kind: OperationKind
  readonly label: string
  /** The stream that it was captured on, by its place in the plan's list of streams. */
  readonly stream: number
  /** The operations that it runs directly after, by their places in the plan's list of nodes. */
  readonly after: readonly number[]
  readonly accesses: readonly Access[]
}

/** What a graph runs. */
export interface OperationPlan {
  readonly nodes: readonly PlannedOperation[]
  /** The names of the streams that have nodes. */
  readonly streams: readonly string[]
  /** What a node consists of itself, by the node's place: a graph that was launched inside, a conditional's body. */
  readonly parts: ReadonlyMap<number, OperationPlan>
}

/** One operation. */
export class Operation {
  readonly kind: OperationKind
  readonly label: string
  /** What it does with memory; of a graph, what all of its nodes do. */
  readonly accesses: readonly Access[]
  /** What a graph runs. */
  readonly plan: OperationPlan | undefined
  /** Where it is queued. */
  stream: StreamState
  #observer: OperationObserver | undefined

  constructor({ kind, label }: OperationType, stream: StreamState, accesses: readonly Access[], plan?: OperationPlan) {
    this.kind = kind
    this.label = label
    this.stream = stream
    this.accesses = accesses
    this.plan = plan
  }

  /**
   * Shows the operation to the observer, if there is one, who may refuse it. Refuses a stream that cannot be queued on.
   *
   * @param isStreamNamed whether the caller named the stream, so that the observer may not choose another
   */
  show(isStreamNamed: boolean): this {
    const { observer } = this.stream.order
    if (observer !== undefined && !isStreamNamed) this.stream = observer.place(this)
    this.stream.enter()
    observer?.before(this)
    this.#observer = observer
    return this
  }

  /** The driver has accepted it. */
  accepted(tick: number): void {
    const observer = this.#observer
    this.#observer = undefined
    observer?.accepted(this, tick)
  }

  /** It could not be queued. Does nothing once it was accepted. */
  refused(error: unknown): void {
    const observer = this.#observer
    this.#observer = undefined
    observer?.refused(this, error)
  }
}
