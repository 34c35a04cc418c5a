/**
 * The description of an operation: its name, its stream, and the bytes that it reads and writes. It is made only if an
 * observer or a capture needs it.
 */
import type { StridedRange } from "../../../common/strided.js"
import type { GraphOutline } from "./graph-outline.js"
import type { OperationObserver } from "./observer.js"
import type { GraphOverlap } from "../policy/overlap-policy.js"
import type { RegionPart } from "./region.js"
import type { StreamState } from "../stream-state.js"

/** How an operation uses bytes. A `write` may leave some of them unchanged; an `overwrite` changes all of them. */
export type AccessMode = "read" | "write" | "readwrite" | "overwrite"

/** The kinds of operations. */
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
  /** The mode of each operand; undefined for a scalar. */
  readonly modes: readonly (AccessMode | undefined)[]
  /** Whether one of the modes is "overwrite". */
  readonly overwrite: boolean
  /** An operand's name in messages; undefined if it has none. */
  nameOf?(index: number): string | undefined
}

/** How an operation uses an operand, and as what. All accesses of this operand share it, so observers may keep it. */
export class AccessRole {
  readonly mode: AccessMode
  /** Whether it may change bytes. */
  readonly isWrite: boolean
  /** The kernel's argument as in messages: `2`, or `2.table` in a struct. */
  readonly argument: string | undefined
  /** The name of the global, if the memory is a global instead of an argument. */
  readonly name: string | undefined

  constructor(mode: AccessMode, argument: string | undefined, name: string | undefined) {
    this.mode = mode
    this.isWrite = mode !== "read"
    this.argument = argument
    this.name = name
  }
}

/** What all operations of one type share, such as all launches of one kernel. Made once. */
export class OperationType implements OperandUses {
  readonly kind: OperationKind
  /** The operation's name in graphs: the kernel's name, or the kind of operation. */
  readonly label: string
  readonly modes: readonly (AccessMode | undefined)[]
  readonly overwrite: boolean
  /** The role of each operand; undefined for a scalar, and for the library's own memory. */
  readonly roles: readonly (AccessRole | undefined)[]
  /** Whether it needs the whole device, so that nothing should run beside it. */
  readonly isResident: boolean

  /**
   * @param modes see {@link OperandUses.modes}
   * @param paths for each operand of a launch, the argument that it comes from
   * @param isResident see {@link OperationType.isResident}
   * @param own how many operands, the first ones, are the library's own memory, which observers do not see
   */
  constructor(
    kind: OperationKind,
    label: string,
    modes: readonly (AccessMode | undefined)[],
    paths?: readonly string[],
    isResident = false,
    own = 0,
  ) {
    this.kind = kind
    this.label = label
    this.modes = modes
    this.overwrite = modes.includes("overwrite")
    this.roles = modes.map((mode, index) => {
      return mode && index >= own ? new AccessRole(mode, paths?.[index], undefined) : undefined
    })
    this.isResident = isResident
  }

  nameOf(index: number): string | undefined {
    const argument = this.roles[index]?.argument
    return argument === undefined ? undefined : `argument ${argument} of kernel "${this.label}"`
  }
}

/** Bytes that an operation uses, and how: rows that are a pitch apart, usually one row. */
export class Access implements StridedRange {
  /** Identifies the memory: the same object for an array and all of its views. */
  readonly memory: object
  /** A device address; on host, a byte offset into the device's memory. */
  readonly address: number
  /** The bytes of a row. */
  readonly width: number
  readonly pitch: number
  readonly rows: number
  readonly role: AccessRole

  constructor(memory: object, address: number, width: number, pitch: number, rows: number, role: AccessRole) {
    this.memory = memory
    this.address = address
    this.width = width
    this.pitch = pitch
    this.rows = rows
    this.role = role
  }

  get mode(): AccessMode {
    return this.role.mode
  }
}

/** Bytes that an operation uses as an operand. */
export interface OperandBytes {
  /** Identifies the memory, as {@link Access.memory}. */
  readonly allocation: object
  readonly address: number
  readonly byteLength: number
  /** The rows, if the operation uses only these. */
  readonly rows?: StridedRange
}

/** Describes the use of an operand. */
export function accessOf({ allocation, rows, address, byteLength }: OperandBytes, role: AccessRole): Access {
  return rows === undefined
    ? new Access(allocation, address, byteLength, byteLength, 1, role)
    : new Access(allocation, rows.address, rows.width, rows.pitch, rows.rows, role)
}

/** What an operation uses: its operands, of which some may be scalars, and what it uses besides. */
export type Operands = readonly (OperandBytes | number | bigint)[]

/** Memory that an operation uses although it is not an operand. */
export interface UsedBesides {
  addAccesses(accesses: Access[]): void
}

/** Describes the accesses of an operation. */
export function accessesOf(type: OperationType, operands: Operands, besides: UsedBesides | undefined): Access[] {
  const accesses: Access[] = []
  const { roles } = type
  for (let index = 0; index < operands.length; index++) {
    const role = roles[index]
    const operand = operands[index]
    if (role !== undefined && typeof operand === "object") accesses.push(accessOf(operand, role))
  }
  besides?.addAccesses(accesses)
  return accesses
}

/** An operation of a graph. */
export interface PlannedOperation {
  readonly kind: OperationKind
  readonly label: string
  /** The index of its stream in the plan's list of streams. */
  readonly stream: number
  /** The indices of the nodes that run directly before it. */
  readonly after: readonly number[]
  readonly accesses: readonly Access[]
  /** The index in the plan's regions of the innermost fork-join, and of the function there. */
  readonly region: number | undefined
  readonly branch: number | undefined
}

/** The operations of a graph. */
export interface OperationPlan {
  readonly nodes: readonly PlannedOperation[]
  /** The names of the streams that have nodes. */
  readonly streams: readonly string[]
  /** The operations inside a node, by its index: of a graph launched inside, or of a conditional's body. */
  readonly parts: ReadonlyMap<number, OperationPlan>
  /** Whether one of the operations needs the whole device. */
  readonly isResident: boolean
  /** What a trace needs to know of all this. */
  readonly outline: GraphOutline
}

/** Operations of one chain run one after another, on whatever streams: launches of graphs that share memory. */
export interface Chain {
  /** The chain, which may become part of another one. */
  readonly whole: object
  /** Counts up whenever two chains become one, whichever they are. */
  readonly unions: number
}

/** A graph, as part of its launch. */
export interface LaunchedGraph {
  /** The accesses of all nodes. */
  readonly accesses: readonly Access[]
  readonly plan: OperationPlan
  /** The chain of its launches. */
  readonly chain: Chain
  /** How a policy has it run. */
  overlap: GraphOverlap | undefined
}

/** One operation. Outside of captures it must not be kept, because it refers to the program's arrays. */
export class Operation {
  readonly type: OperationType
  readonly operands: Operands
  /** What it uses besides its operands. */
  readonly besides: UsedBesides | undefined
  /** The graph, if it launches one. */
  readonly graph: LaunchedGraph | undefined
  /** The stream on which it is queued. */
  stream: StreamState
  /** The innermost fork-join call inside which it is queued, and the function there. Known to observers and captures. */
  region: RegionPart | undefined
  /** For a launch of a graph: how a policy has it run. */
  overlap: GraphOverlap | undefined
  #observer: OperationObserver | undefined
  #accesses: readonly Access[] | undefined

  /**
   * Describes an operation, and shows it to the observer, if any. Throws if the observer refuses it, or if the stream cannot
   * receive work. One function, so that the engine compiles it with the constructor.
   *
   * @param isStreamNamed whether the caller named the stream, so that the observer may not choose another
   * @param region the region of the calling code
   */
  static show(
    type: OperationType,
    stream: StreamState,
    operands: Operands,
    besides: UsedBesides | undefined,
    isStreamNamed: boolean,
    region: RegionPart | undefined,
    graph?: LaunchedGraph,
  ): Operation {
    const operation = new Operation(type, stream, operands, besides, region, graph)
    const { order } = stream
    const { observer } = order
    if (isStreamNamed) observer?.named(order)
    else if (observer !== undefined) operation.stream = observer.place(operation)
    operation.stream.enter()
    observer?.before(operation)
    operation.#observer = observer
    return operation
  }

  private constructor(
    type: OperationType,
    stream: StreamState,
    operands: Operands,
    besides: UsedBesides | undefined,
    region: RegionPart | undefined,
    graph: LaunchedGraph | undefined,
  ) {
    this.type = type
    this.stream = stream
    this.operands = operands
    this.besides = besides
    this.region = region
    this.graph = graph
    this.overlap = graph?.overlap
    this.#accesses = graph?.accesses
  }

  get kind(): OperationKind {
    return this.type.kind
  }

  get label(): string {
    return this.type.label
  }

  /** Whether it needs the whole device, so that nothing should run beside it. */
  get isResident(): boolean {
    return this.type.isResident || this.graph?.plan.isResident === true
  }

  /** All accesses; for a graph, those of all of its nodes. Described when they are first asked for. */
  get accesses(): readonly Access[] {
    return (this.#accesses ??= accessesOf(this.type, this.operands, this.besides))
  }

  /** The operations of a graph. */
  get plan(): OperationPlan | undefined {
    return this.graph?.plan
  }

  /** Called when the driver has accepted the operation. */
  accepted(tick: number): void {
    const observer = this.#observer
    this.#observer = undefined
    observer?.accepted(this, tick)
  }

  /** Called if the operation could not be queued. Does nothing after {@link accepted}. */
  refused(error: unknown): void {
    const observer = this.#observer
    this.#observer = undefined
    observer?.refused(this, error)
  }
}
