/**
 * Compares each operation with the earlier ones, before it is queued. It must change nothing: it may only refuse an operation,
 * if its handler of races throws.
 */
import type { VectorClock } from "../runtime/clock/vector-clock.js"
import type { OpenCapture } from "../runtime/order/capture.js"
import type { DeviceOrder } from "../runtime/order/device-order.js"
import { OperationObserver } from "../runtime/order/observer/observer.js"
import type { Access, Chain, Operation } from "../runtime/order/observer/operation.js"
import type { RecordPoint } from "../runtime/order/record-point.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import { Allocations } from "./source/allocations.js"
import type { Birth } from "./history/birth.js"
import { type GraphFact, GraphFacts } from "./history/graph-facts.js"
import { type Conflict, History, isWrapped } from "./history/history.js"
import type { Lane } from "./history/lane.js"
import { LatestLaunch } from "./history/latest-launch.js"
import { Moments } from "./history/moments.js"
import { type OperationName, QueuedOperation } from "./history/past-access.js"
import type { PlanRace } from "./history/plan-races.js"
import type { AnyRace } from "./report/race.js"
import { captureStack, type Frame } from "./source/stack.js"

/** An operation between `before` and `accepted` whose accesses were compared one by one. */
interface OpenOperation {
  readonly operation: Operation
  readonly queued: QueuedOperation
  readonly history: History
  /** The operation inside which it is queued, in the body of a conditional. */
  readonly outer: OpenOperation | undefined
  /** The operations that are ordered before this one. */
  readonly clock: VectorClock
  readonly accesses: readonly Access[]
  /** Known if it is the launch of a graph. */
  readonly graph: GraphFact | undefined
  /** For a graph, the indices of the accesses that were compared; undefined if all were. */
  readonly changed: readonly number[] | undefined
  /** Whether it races with an earlier operation. */
  readonly hasRaced: boolean
  /** The histories of its bodies, if it is a conditional. */
  bodies: History[] | undefined
}

type NewlyOpen = Pick<OpenOperation, "operation" | "queued" | "history" | "clock" | "accesses"> &
  Partial<Pick<OpenOperation, "graph" | "changed" | "hasRaced">>

const none: readonly never[] = []

export class RaceObserver extends OperationObserver {
  readonly #onRace: (race: AnyRace) => void
  readonly #hasStacks: boolean
  readonly #devices = new WeakMap<DeviceOrder, History>()
  readonly #captures = new WeakMap<OpenCapture, History>()
  readonly #moments = new Moments()
  readonly #allocations = new WeakMap<DeviceOrder, Allocations>()
  readonly #graphs = new GraphFacts()
  /** The innermost operation between `before` and `accepted`. */
  #open: OpenOperation | undefined
  /** The operation between `before` and `accepted` for which {@link History.passes} was true: the usual one. */
  #passed: Operation | undefined
  /** The device of the latest call, because the next one is usually for the same. */
  #latestOrder: DeviceOrder | undefined
  #latest: History | undefined
  /** The conflicts of one operation. Empty between calls. */
  #found: Conflict[] = []

  /** @param onRace called for each race before the operation is queued. If it throws, the operation is refused */
  constructor(onRace: (race: AnyRace) => void, hasStacks: boolean) {
    super()
    this.#onRace = onRace
    this.#hasStacks = hasStacks
  }

  /** Called when it observes no more. */
  end(): void {
    this.#moments.end()
  }

  override before(operation: Operation): void {
    const { stream } = operation
    const history = this.#historyOf(stream)
    const isUsual = operation.graph === undefined && operation.besides === undefined && !history.isCapture
    if (isUsual && !stream.shared && this.#passed === undefined && history.passes(history.laneOf(stream), operation)) {
      this.#passed = operation
    } else {
      this.#compare(operation, history)
    }
  }

  /** Compares all accesses, and reports races. */
  #compare(operation: Operation, history: History): void {
    const { stream, accesses, graph } = operation
    const lane = history.laneOf(stream)
    const queued = this.#queuedOn(lane, operation)
    if (stream.shared && stream.capture === undefined && stream.order.isCapturedByOthers(stream)) {
      // It becomes part of another library's graph, which runs in an order of its own.
      return this.#push({ operation, queued, history, clock: lane.clock, accesses: none })
    }
    const fact = graph && this.#graphs.of(accesses, graph.plan)
    if (history.isCapture) this.#graphs.noteCaptured(accesses)
    if (fact !== undefined && fact.races.length > 0) this.#reportIn(fact.races, queued)
    const clock = history.clockIn(graph?.chain, lane)
    const changed = fact?.latest?.changes(history, lane, clock)
    if (changed === undefined) this.#checkAll(history, lane, operation, fact?.nodes ?? none)
    else this.#checkSome(history, lane, clock, accesses, fact?.nodes ?? none, changed)
    const hasRaced = this.#found.length > 0
    if (hasRaced) this.#report(operation, queued, history)
    this.#push({ operation, queued, history, clock, accesses, graph: fact, changed, hasRaced })
  }

  #push({ operation, queued, history, clock, accesses, graph, changed, hasRaced = false }: NewlyOpen): void {
    const outer = this.#open
    this.#open = { operation, queued, history, outer, clock, accesses, graph, changed, hasRaced, bodies: undefined }
  }

  #queuedOn(lane: Lane, { type, region }: Operation): QueuedOperation {
    // Not by #stack(): only so many calls of a stack are looked at, the library's included.
    return new QueuedOperation(lane, type, region, this.#hasStacks ? captureStack() : undefined)
  }

  #stack(): readonly Frame[] | undefined {
    return this.#hasStacks ? captureStack() : undefined
  }

  /** Compares with the history, and for the body of a conditional with the work around it. */
  #checkAll(
    history: History,
    lane: Lane,
    { accesses, graph }: Operation,
    nodes: readonly (OperationName | undefined)[],
  ): void {
    for (let scope: History | undefined = history, inner = lane; scope !== undefined;) {
      const clock = scope.clockIn(graph?.chain, inner)
      for (const [index, access] of accesses.entries()) scope.check(inner, clock, access, nodes[index], this.#found)
      const { around }: History = scope
      if (around === undefined) return
      scope = around.history
      inner = around.lane
    }
  }

  #checkSome(
    history: History,
    lane: Lane,
    clock: VectorClock,
    accesses: readonly Access[],
    nodes: readonly (OperationName | undefined)[],
    indices: readonly number[],
  ): void {
    for (const index of indices) {
      const access = accesses[index]
      if (access !== undefined) history.check(lane, clock, access, nodes[index], this.#found)
    }
  }

  #report({ stream, accesses }: Operation, queued: QueuedOperation, history: History): void {
    const found = this.#found
    this.#found = []
    for (const conflict of found) {
      if (names(conflict.past.birth, accesses)) continue
      this.#onRace({ ...conflict, queued, history, allocation: this.#allocationsOf(stream.order).at(conflict.begin) })
    }
  }

  #reportIn(races: readonly PlanRace[], queued: QueuedOperation): void {
    for (const race of races) {
      const allocation = this.#allocationsOf(queued.lane.stream.order).at(race.access.address)
      this.#onRace({ ...race, queued, allocation })
    }
  }

  override accepted(operation: Operation): void {
    if (operation === this.#passed) {
      this.#passed = undefined
      const history = this.#historyOf(operation.stream)
      const lane = history.laneOf(operation.stream)
      lane.tick++
      return history.noteOperands(lane, operation, this.#stack())
    }
    const open = this.#open
    if (open === undefined || open.operation !== operation) return
    this.#open = open.outer
    this.#note(open, operation.graph?.chain)
  }

  #note(open: OpenOperation, chain: Chain | undefined): void {
    const { queued, history, clock, accesses, graph, bodies } = open
    const { lane } = queued
    if (chain !== undefined) lane.clock = clock
    queued.tick = ++lane.tick
    if (graph !== undefined) noteGraph(open, graph)
    else for (const access of accesses) note(history, queued, access, undefined)
    if (chain !== undefined) history.endChain(chain, lane.now())
    for (const body of bodies ?? none) this.#include(body, history, queued)
  }

  /** The accesses of a body become accesses of its conditional. */
  #include(body: History, history: History, conditional: QueuedOperation): void {
    const moved = new Map<QueuedOperation, QueuedOperation>()
    for (const { operation, access, node } of body.collected) {
      const inside = moved.get(operation) ?? operation.inside(conditional)
      moved.set(operation, inside)
      note(history, inside, access, node)
    }
    for (const chain of body.chains) history.addChainEnd(chain, conditional.lane.now())
  }

  override refused(operation: Operation): void {
    if (operation === this.#passed) this.#passed = undefined
    else if (this.#open?.operation === operation) this.#open = this.#open.outer
  }

  override recorded(stream: StreamState, point: RecordPoint): void {
    if (this.#isLaunchingGraph) return
    const history = this.#historyOf(stream)
    const lane = history.laneOf(stream)
    this.#moments.set(point, lane.clock, lane.slot, lane.tick)
    if (point.isExposed) history.expose(lane.now())
  }

  override marked(stream: StreamState, point: RecordPoint): void {
    const { clock, slot, tick } = this.#deviceOf(stream.order).laneOf(stream)
    this.#moments.set(point, clock, slot, tick)
  }

  override markedAll(order: DeviceOrder, point: RecordPoint): void {
    const { clock, slot, tick } = this.#deviceOf(order).now()
    this.#moments.set(point, clock, slot, tick)
  }

  override copied(point: RecordPoint, copy: RecordPoint): void {
    const moment = this.#moments.get(point)
    if (moment !== undefined) this.#moments.set(copy, moment.clock, moment.slot, moment.tick)
  }

  override exposed(order: DeviceOrder, point: RecordPoint): void {
    const moment = this.#moments.get(point)
    const capture = point.capture?.capture
    const history = capture === undefined ? this.#deviceOf(order) : this.#captures.get(capture)
    if (moment !== undefined) history?.expose(moment)
  }

  /** An event that was recorded before the sanitizer started comes after no access that it knows. */
  override waited(stream: StreamState, point: RecordPoint): void {
    const moment = this.#moments.get(point)
    if (moment !== undefined && !this.#isLaunchingGraph) this.#historyOf(stream).laneOf(stream).wait(moment)
  }

  override synchronized(order: DeviceOrder, point: RecordPoint): void {
    const moment = this.#moments.get(point)
    if (moment !== undefined) this.#deviceOf(order).synchronize(moment)
  }

  override failed(order: DeviceOrder, point: RecordPoint): void {
    const moment = this.#moments.get(point)
    if (moment !== undefined) this.#deviceOf(order).fail(moment)
  }

  override leased(stream: StreamState): void {
    this.#deviceOf(stream.order).lease(stream)
    const { capture } = stream
    if (capture !== undefined) this.#captures.get(capture)?.lease(stream)
  }

  override allocated(stream: StreamState, _memory: object, address: number, byteLength: number): void {
    this.#historyOf(stream).forget(address, byteLength)
    this.#allocationsOf(stream.order).add(address, byteLength, this.#stack())
  }

  override provided(order: DeviceOrder, _memory: object, address: number, byteLength: number): void {
    this.#deviceOf(order).forget(address, byteLength)
    this.#allocationsOf(order).add(address, byteLength, this.#stack())
  }

  override born(stream: StreamState, _memory: object, address: number, byteLength: number): void {
    const history = this.#historyOf(stream)
    history.bear(history.laneOf(stream), address, byteLength)
  }

  override freed(stream: StreamState, _memory: object, address: number, byteLength: number): void {
    const history = this.#deviceOf(stream.order)
    history.forget(address, byteLength, history.laneOf(stream))
    this.#allocationsOf(stream.order).delete(address)
  }

  /** The waits meanwhile are the library's: launches of one chain are ordered among themselves only. */
  get #isLaunchingGraph(): boolean {
    return this.#open?.operation.kind === "graph"
  }

  #historyOf({ capture, order }: StreamState): History {
    if (capture === undefined) return this.#deviceOf(order)
    return this.#captures.get(capture) ?? this.#newCapture(capture)
  }

  #newCapture(capture: OpenCapture): History {
    const open = this.#open
    const isBody = open?.operation.kind === "conditional" && open.operation.stream.order === capture.order
    const history = new History(true, isBody ? { history: open.history, lane: open.queued.lane } : undefined)
    if (isBody) (open.bodies ??= []).push(history)
    this.#captures.set(capture, history)
    return history
  }

  #deviceOf(order: DeviceOrder): History {
    if (order === this.#latestOrder && this.#latest !== undefined) return this.#latest
    const history = this.#devices.get(order) ?? new History(false)
    this.#devices.set(order, history)
    this.#latestOrder = order
    this.#latest = history
    return history
  }

  #allocationsOf(order: DeviceOrder): Allocations {
    const known = this.#allocations.get(order)
    if (known !== undefined) return known
    const allocations = new Allocations()
    this.#allocations.set(order, allocations)
    return allocations
  }
}

/** Whether an operation names the array of these first contents, so that all its accesses run after them. */
function names(birth: Birth | undefined, accesses: readonly Access[]): boolean {
  if (birth === undefined) return false
  return accesses.some((access) => {
    const { address, width } = access
    return width > 0 && !isWrapped(access.memory) && address >= birth.begin && address < birth.end
  })
}

/** Notes the accesses of a graph's launch: those that were compared. */
function noteGraph({ queued, history, accesses, changed, hasRaced }: OpenOperation, graph: GraphFact): void {
  const { nodes, latest } = graph
  if (latest === undefined || changed === undefined) {
    for (const [index, access] of accesses.entries()) note(history, queued, access, nodes[index])
    graph.latest = history.isCapture || hasRaced ? undefined : LatestLaunch.of(history, queued, accesses)
    return
  }
  latest.operation.become(queued)
  for (const index of changed) {
    const access = accesses[index]
    if (access !== undefined) history.note(latest.operation, access, nodes[index])
  }
  if (hasRaced || !latest.renew(accesses, changed)) graph.latest = undefined
}

/** Notes an access, also for the conditional around it. */
function note(history: History, operation: QueuedOperation, access: Access, node: OperationName | undefined): void {
  history.note(operation, access, node)
  if (history.around !== undefined) history.collected.push({ operation, access, node })
}
