/**
 * The accesses and the order of one device outside of captures, or of one capture. It decides whether an access is ordered
 * after the earlier ones.
 */
import { endOf, overlap, overlapOf, type StridedRange } from "../../common/strided.js"
import { ClockSlots } from "../../runtime/clock/clock-slots.js"
import { emptyClock, type VectorClock } from "../../runtime/clock/vector-clock.js"
import { Allocation } from "../../runtime/memory/allocation.js"
import type { Access, AccessRole, Chain, Operation } from "../../runtime/order/observer/operation.js"
import type { StreamState } from "../../runtime/order/stream-state.js"
import type { Frame } from "../source/stack.js"
import { Birth, type Point } from "./birth.js"
import { Lane, Moment, NONE } from "./lane.js"
import { type OperationName, PastAccess, QueuedOperation } from "./past-access.js"
import { type Segment, Shadow } from "./shadow.js"
import { StridedAccesses } from "./strided-accesses.js"

/** Sweeps begin at this number of lanes or segments. */
const LEAST = 64

/** The past accesses that conflict with a new one, and bytes that both use. */
export interface Conflict {
  readonly access: Access
  /** The operation inside a graph that makes the new access. */
  readonly node: OperationName | undefined
  readonly past: PastAccess
  readonly begin: number
  readonly end: number
}

/** The end of the newest launch of a chain. */
interface ChainEnd {
  readonly chain: Chain
  readonly end: Moment
}

/** How an operation uses an operand that is exactly a segment. */
interface OperandUse {
  segment: Segment
  role: AccessRole
  isForeign: boolean
}

export class History {
  readonly shadow = new Shadow()
  readonly strided = new StridedAccesses()
  /** Whether it is a capture's. */
  readonly isCapture: boolean
  /** For the body of a conditional: the history of the capture around it, and the conditional's lane there. */
  readonly around: { readonly history: History; readonly lane: Lane } | undefined
  /** For a body: its accesses, which become those of the conditional. */
  readonly collected: {
    readonly operation: QueuedOperation
    readonly access: Access
    readonly node: OperationName | undefined
  }[] = []
  readonly #lanes = new Map<StreamState, Lane>()
  /** The two lanes asked for last, because the next call is usually for one of their streams. */
  #latest: Lane | undefined
  #other: Lane | undefined
  /** All lanes whose slots are in use, former leases included. */
  readonly #all = new Set<Lane>()
  readonly #slots = new ClockSlots()
  /** What {@link passes} has found of the operands, their number, and the shadow's shape then. */
  readonly #passed: OperandUse[] = []
  #passedCount = 0
  #passedShape = NONE
  /** An object for the next operation, so that launches allocate nothing. */
  #spare: QueuedOperation | undefined
  readonly #chains = new Map<object, ChainEnd>()
  /** {@link Chain.unions} when `#chains` was up to date. */
  #unions = NONE
  /** What the host knows to be over. Always empty in a capture, where nothing runs. */
  #done = emptyClock
  /** What other code may have waited for, because the program has read an event's handle. */
  #exposed = emptyClock
  #mostLanes = LEAST
  #mostSegments = LEAST
  #mostStrided = LEAST

  constructor(isCapture: boolean, around?: { readonly history: History; readonly lane: Lane }) {
    this.isCapture = isCapture
    this.around = around
  }

  laneOf(stream: StreamState): Lane {
    if (this.#latest?.stream === stream) return this.#latest
    const other = this.#other
    this.#other = this.#latest
    return (this.#latest = other?.stream === stream ? other : (this.#lanes.get(stream) ?? this.#newLane(stream)))
  }

  #newLane(stream: StreamState): Lane {
    if (this.#all.size >= this.#mostLanes) this.#sweep()
    const { slot, tick } = this.#slots.acquire()
    const lane = new Lane(stream, slot, tick)
    this.#lanes.set(stream, lane)
    this.#all.add(lane)
    return lane
  }

  /** Whether the lane, or a former lease of its stream, is in this history. */
  has(lane: Lane): boolean {
    return this.#all.has(lane)
  }

  /** The streams' lanes. A former lease of a pool stream has none. */
  get lanes(): Iterable<Lane> {
    return this.#lanes.values()
  }

  /** The stream is leased anew: nothing orders it after its former lease. */
  lease(stream: StreamState): void {
    const former = this.#lanes.get(stream)
    if (former === undefined) return
    if (isShared(former)) this.expose(former.now())
    this.#remove(stream)
  }

  #remove(stream: StreamState): void {
    this.#lanes.delete(stream)
    this.#latest = undefined
    this.#other = undefined
  }

  /** The point after everything queued so far on all streams. */
  now(): Moment {
    let clock: VectorClock = emptyClock
    for (const { slot, tick } of this.#all) clock = clock.with(slot, tick)
    return new Moment(clock, NONE, 0)
  }

  /** The host knows that everything before the point is over. */
  synchronize({ clock, slot, tick }: Moment): void {
    this.#done = this.#done.join(NONE, clock, slot, tick)
  }

  /** The host knows that the lane's own operations before the point are over. */
  fail({ slot, tick }: Moment): void {
    this.#done = this.#done.with(slot, tick)
  }

  /** Other code may have waited for everything before the point. */
  expose({ clock, slot, tick }: Moment): void {
    this.#exposed = this.#exposed.join(NONE, clock, slot, tick)
  }

  /** The clock of an operation that runs after the earlier ones of its chain. */
  clockIn(chain: Chain | undefined, lane: Lane): VectorClock {
    const last = chain && this.#lastOf(chain)
    return last === undefined || lane.has(last) ? lane.clock : lane.clockAfter(last)
  }

  #lastOf({ whole, unions }: Chain): Moment | undefined {
    if (unions !== this.#unions) this.#uniteChains(unions)
    return this.#chains.get(whole)?.end
  }

  #uniteChains(unions: number): void {
    for (const [key, known] of this.#chains) {
      if (known.chain.whole === key) continue
      this.#chains.delete(key)
      this.addChainEnd(known.chain, known.end)
    }
    this.#unions = unions
  }

  /** Notes the point after an operation of a chain, whose clock is {@link clockIn}. */
  endChain(chain: Chain, end: Moment): void {
    this.#chains.set(chain.whole, { chain, end })
  }

  /** Notes the point after an operation that need not be ordered after the chain's latest one. */
  addChainEnd(chain: Chain, end: Moment): void {
    const other = this.#chains.get(chain.whole)?.end
    this.endChain(chain, other === undefined ? end : end.and(other))
  }

  /** The chains with operations here. */
  get chains(): Iterable<Chain> {
    return Array.from(this.#chains.values(), ({ chain }) => chain)
  }

  /**
   * Finds past accesses that conflict with a new one of the lane.
   *
   * @param clock the order before the new access
   */
  check(lane: Lane, clock: VectorClock, access: Access, node: OperationName | undefined, found: Conflict[]): void {
    const { address, width, rows } = access
    if (width === 0) return
    const exact = rows === 1 && this.strided.size === 0 ? this.shadow.exactly(address, address + width) : undefined
    if (exact === undefined) return this.#checkAll(lane, clock, access, node, found)
    const { accesses } = exact
    for (let index = 0; index < accesses.length; index++) {
      const past = accesses[index]
      if (past !== undefined && this.#races(lane, clock, past, access.role, isWrapped(access.memory)))
        addTo(found, access, node, past, access)
    }
  }

  #checkAll(lane: Lane, clock: VectorClock, access: Access, node: OperationName | undefined, found: Conflict[]): void {
    for (const segment of this.shadow.overlapping(access.address, endOf(access))) {
      const range = rangeOfSegment(segment)
      if (!overlap(range, access)) continue
      for (const past of segment.accesses) {
        if (this.#races(lane, clock, past, access.role, isWrapped(access.memory)))
          addTo(found, access, node, past, range)
      }
    }
    for (const { range, access: past } of this.strided) {
      if (overlap(range, access) && this.#races(lane, clock, past, access.role, isWrapped(access.memory)))
        addTo(found, access, node, past, range)
    }
  }

  #races(lane: Lane, clock: VectorClock, past: PastAccess, { isWrite }: AccessRole, isForeign: boolean): boolean {
    if (past.operation.lane === lane || !(isWrite || past.isWrite)) return false
    if (this.#isAfter(lane, clock, past, isForeign)) return false
    return !(past.birth?.points ?? [past.operation]).some((point) => this.#mayBeKnownElsewhere(point))
  }

  /**
   * Whether a past access is ordered before an access by the lane's next operation.
   *
   * @param isForeign whether the new access reaches the memory by {@link isWrapped}
   */
  #isAfter(lane: Lane, clock: VectorClock, { operation, birth }: PastAccess, isForeign: boolean): boolean {
    if (this.#isAfterPoint(lane, clock, operation)) return true
    if (birth === undefined) return false
    return !isForeign || birth.points.some((point) => this.#isAfterPoint(lane, clock, point))
  }

  #isAfterPoint(lane: Lane, clock: VectorClock, { lane: other, tick }: Point): boolean {
    return other === lane || clock.isAfter(other.slot, tick) || this.#done.isAfter(other.slot, tick)
  }

  /**
   * Whether code outside the library may have waited for the access, because it has the handle of a stream or an event that
   * comes after it. Foreign streams are not meant: a program that adopts a stream orders it by the library's calls.
   */
  #mayBeKnownElsewhere({ lane, tick }: Point): boolean {
    if (this.#exposed.isAfter(lane.slot, tick)) return true
    for (const other of this.#lanes.values()) {
      if (isShared(other) && (other === lane || other.clock.isAfter(lane.slot, tick))) return true
    }
    return false
  }

  /**
   * Whether each operand has exactly the bytes of earlier accesses, and races with none of them. This is the usual case, for
   * which nothing need be described. Otherwise the accesses must be compared one by one.
   */
  passes(lane: Lane, { type: { roles }, operands }: Operation): boolean {
    if (this.strided.size > 0) return false
    const passed = this.#passed
    let count = 0
    for (let index = 0; index < operands.length; index++) {
      const role = roles[index]
      const operand = operands[index]
      if (role === undefined || typeof operand !== "object") continue
      const { address, byteLength, allocation } = operand
      const segment = operand.rows === undefined ? this.shadow.exactly(address, address + byteLength) : undefined
      const isForeign = isWrapped(allocation)
      if (segment === undefined || this.#racesIn(segment, lane, role, isForeign)) return false
      const use = passed[count++]
      if (use === undefined) passed.push({ segment, role, isForeign })
      else {
        use.segment = segment
        use.role = role
        use.isForeign = isForeign
      }
    }
    this.#passedCount = count
    this.#passedShape = this.shadow.shape
    return true
  }

  #racesIn({ accesses }: Segment, lane: Lane, role: AccessRole, isForeign: boolean): boolean {
    for (let index = 0; index < accesses.length; index++) {
      const past = accesses[index]
      if (past !== undefined && this.#races(lane, lane.clock, past, role, isForeign)) return true
    }
    return false
  }

  /** Notes the accesses of the lane's latest operation, for which {@link passes} was true. */
  noteOperands(lane: Lane, operation: Operation, stack: readonly Frame[] | undefined): void {
    const { type, region } = operation
    const queued = this.#spare ?? new QueuedOperation(lane, type, region, stack, true)
    this.#spare = undefined
    queued.reuse(lane, type, region, stack)
    if (this.#passedShape === this.shadow.shape) this.#notePassed(queued)
    else for (const access of operation.accesses) this.note(queued, access, undefined)
    if (queued.isSpare) this.#spare = queued
  }

  #notePassed(queued: QueuedOperation): void {
    for (let index = 0; index < this.#passedCount; index++) {
      const use = this.#passed[index]
      if (use !== undefined) this.#noteIn(use.segment, queued, use.role, use.isForeign, undefined)
    }
  }

  /** Notes an access that has been queued. */
  note(operation: QueuedOperation, access: Access, node: OperationName | undefined): void {
    const { lane } = operation
    if (access.width === 0) return
    const isForeign = isWrapped(access.memory)
    if (this.strided.size > 0) this.strided.replace(access, (past) => this.#isAfter(lane, lane.clock, past, isForeign))
    if (access.rows > 1) this.#noteRows(operation, access, isForeign, node)
    else this.#noteRow(operation, access, isForeign, node)
    if (this.shadow.size > this.#mostSegments || this.strided.size > this.#mostStrided) this.#sweep()
  }

  #noteRows(operation: QueuedOperation, access: Access, isForeign: boolean, node: OperationName | undefined): void {
    for (const { birth } of this.shadow.overlapping(access.address, endOf(access)))
      this.#noteUse(birth, operation, isForeign)
    this.strided.add(rangeOf(access), new PastAccess(operation, access.role, node, isForeign))
  }

  /** Notes that an operation is ordered after the first contents of the array that it names. */
  #noteUse(birth: Birth | undefined, operation: QueuedOperation, isForeign: boolean): void {
    const { lane } = operation
    if (birth === undefined || birth.latest === lane || isForeign) return
    birth.noteUse(operation, (point) => this.#isAfterPoint(lane, lane.clock, point))
  }

  #noteRow(operation: QueuedOperation, access: Access, isForeign: boolean, node: OperationName | undefined): void {
    const { address, width, role } = access
    const exact = this.shadow.exactly(address, address + width)
    if (exact !== undefined) return this.#noteIn(exact, operation, role, isForeign, node)
    const tiles = this.shadow.tiles(address, address + width)
    for (const tile of tiles) this.#noteIn(tile, operation, role, isForeign, node)
    const [first] = tiles
    if (tiles.length < 2 || first === undefined || !role.isWrite) return
    if (tiles.every(({ accesses, birth }) => accesses.length === 1 && birth === first.birth))
      this.shadow.unite(tiles, first.accesses)
  }

  #noteIn(
    segment: Segment,
    operation: QueuedOperation,
    role: AccessRole,
    isForeign: boolean,
    node: OperationName | undefined,
  ): void {
    const { accesses, birth } = segment
    const { lane } = operation
    segment.version++
    if (birth !== undefined && birth.latest !== lane) this.#noteUse(birth, operation, isForeign)
    const isRead = !role.isWrite
    let kept = 0
    let spare: PastAccess | undefined
    for (let index = 0; index < accesses.length; index++) {
      const past = accesses[index]
      if (past === undefined) continue
      const isKept = (isRead && past.isWrite) || !this.#isAfter(lane, lane.clock, past, isForeign)
      if (!isKept) spare = past
      else if (kept++ !== index) accesses[kept - 1] = past
    }
    if (spare === undefined) {
      accesses.push(new PastAccess(operation, role, node, isForeign))
      return
    }
    const former = spare.operation
    spare.set(operation, role, node, isForeign)
    if (former.isSpare) this.#spare = former
    if (accesses[kept] !== spare) accesses[kept] = spare
    while (accesses.length > kept + 1) accesses.pop()
  }

  /**
   * The first contents of an array with these bytes have been queued.
   *
   * @param lane the lane of the allocation
   */
  bear(lane: Lane, address: number, byteLength: number): void {
    const tiles = this.shadow.tiles(address, address + byteLength)
    const all = tiles.flatMap(({ accesses }) => accesses)
    const latest = all.filter(({ operation }) => operation.lane === lane && operation.tick === lane.tick)
    // A region of autoParallel may have placed them on another stream. Outside of captures, nothing else has used the memory
    // since its allocation.
    const contents = latest.length > 0 || this.isCapture ? latest : all.filter(({ isWrapped }) => !isWrapped)
    const { lane: by, tick } = contents.at(-1)?.operation ?? { lane, tick: lane.tick }
    const birth = new Birth({ lane: by, tick }, address, address + byteLength)
    for (const past of contents) past.birth = birth
    for (const tile of tiles) {
      tile.birth = birth
      tile.version++
    }
  }

  /** Memory begins or ends here: forgets the accesses of other memory at its addresses. */
  forget(address: number, byteLength: number, behind?: Lane): void {
    const isKept = (past: PastAccess) => {
      return past.isWrapped && !(behind !== undefined && this.#isAfterPoint(behind, behind.clock, past.operation))
    }
    this.shadow.keep(address, address + byteLength, isKept)
    if (this.strided.size > 0) this.strided.keep(address, address + byteLength, isKept)
  }

  /** Forgets what can be in no race any more, so that memory stays bounded. */
  #sweep(): void {
    const isNeeded = ({ operation: { lane, tick } }: PastAccess) => !this.#done.isAfter(lane.slot, tick)
    this.shadow.keepAll(isNeeded, ({ points }) => !points.some(({ lane, tick }) => this.#done.isAfter(lane.slot, tick)))
    this.strided.keep(0, Infinity, isNeeded)
    for (const { lane } of this.shadow.points()) lane.isInUse = true
    for (const { access } of this.strided) access.operation.lane.isInUse = true
    for (const lane of this.#all) this.#sweepLane(lane)
    for (const [key, { end }] of this.#chains) if (end.isBefore(this.#done)) this.#chains.delete(key)
    this.#mostLanes = Math.max(LEAST, 2 * this.#all.size)
    this.#mostSegments = Math.max(LEAST, 2 * this.shadow.size)
    this.#mostStrided = Math.max(LEAST, 2 * this.strided.size)
  }

  #sweepLane(lane: Lane): void {
    const { stream, isInUse } = lane
    lane.isInUse = false
    if (isInUse) return
    const isCurrent = this.#lanes.get(stream) === lane
    if (isCurrent && !stream.disposed) return
    if (isShared(lane)) this.expose(lane.now())
    if (isCurrent) this.#remove(stream)
    this.#all.delete(lane)
    this.#slots.release(lane.slot, lane.tick)
  }
}

/** Whether the program has read the handle of the lane's stream. */
function isShared({ stream }: Lane): boolean {
  return stream.shared && !stream.foreign
}

/** Without the memory, which the sanitizer must not keep. */
function rangeOf({ address, width, pitch, rows }: Access): StridedRange {
  return { address, width, pitch, rows }
}

function rangeOfSegment({ begin, end }: Segment): StridedRange {
  return { address: begin, width: end - begin, pitch: end - begin, rows: 1 }
}

/** Whether it is memory of another library, whose uses the library does not know. */
export function isWrapped(memory: object): boolean {
  return memory instanceof Allocation && memory.isForeign
}

/** Adds a conflict with bytes of `range` that both use, unless there is one between the same two accesses. */
function addTo(
  found: Conflict[],
  access: Access,
  node: OperationName | undefined,
  past: PastAccess,
  range: StridedRange,
): void {
  if (found.some((known) => known.past.operation === past.operation && known.access === access)) return
  found.push({ access, node, past, ...overlapOf(range, access) })
}
