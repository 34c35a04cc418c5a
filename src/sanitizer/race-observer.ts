/**
 * Compares each operation with the earlier ones, before it is queued. It must change nothing: it may only refuse an operation,
 * if its handler of races throws.
 */
import type { OpenCapture } from "../runtime/order/capture.js"
import type { DeviceOrder } from "../runtime/order/device-order.js"
import { OperationObserver } from "../runtime/order/observer.js"
import type { Access, Operation } from "../runtime/order/operation.js"
import type { RecordPoint } from "../runtime/order/record-point.js"
import type { StreamState } from "../runtime/order/stream-state.js"
import { Allocations } from "./allocations.js"
import type { Birth } from "./birth.js"
import { GraphFacts } from "./graph-facts.js"
import { type Conflict, History, isWrapped } from "./history.js"
import type { Lane, Moment } from "./lane.js"
import { type OperationName, QueuedOperation } from "./past-access.js"
import type { PlanRace } from "./plan-races.js"
import type { AnyRace } from "./race.js"
import { captureStack, type Frame } from "./stack.js"

/** An operation between `before` and `accepted`. */
interface OpenOperation {
  readonly operation: Operation
  readonly queued: QueuedOperation
  readonly history: History
  readonly accesses: readonly Access[]
  /** The operations inside a graph that make its accesses. */
  readonly nodes: readonly (OperationName | undefined)[]
  /** The operation inside which it is queued, in the body of a conditional. */
  readonly outer: OpenOperation | undefined
  /** The histories of its bodies, if it is a conditional. */
  bodies: History[] | undefined
}

const none: readonly never[] = []

export class RaceObserver extends OperationObserver {
  readonly #onRace: (race: AnyRace) => void
  readonly #hasStacks: boolean
  readonly #devices = new WeakMap<DeviceOrder, History>()
  readonly #captures = new WeakMap<OpenCapture, History>()
  readonly #moments = new WeakMap<RecordPoint, Moment>()
  readonly #allocations = new WeakMap<DeviceOrder, Allocations>()
  readonly #graphs = new GraphFacts()
  /** The innermost operation between `before` and `accepted`. */
  #open: OpenOperation | undefined
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

  override before(operation: Operation): void {
    const { stream, accesses, kind, label, region, plan } = operation
    const history = this.#historyOf(stream)
    const lane = history.laneOf(stream)
    const queued = new QueuedOperation(lane, kind, label, region, this.#stack())
    if (stream.shared && stream.capture === undefined && stream.order.isCapturedByOthers(stream)) {
      // It becomes part of another library's graph, which runs in an order of its own.
      this.#push(operation, queued, history, none, none)
      return
    }
    const graph = plan && this.#graphs.of(accesses, plan)
    const nodes = graph === undefined ? none : graph.nodes
    if (history.isCapture) this.#graphs.noteCaptured(accesses)
    if (graph !== undefined && graph.races.length > 0) this.#reportIn(graph.races, queued)
    this.#check(history, lane, operation, nodes)
    if (this.#found.length > 0) this.#report(operation, queued, history)
    this.#push(operation, queued, history, accesses, nodes)
  }

  #push(
    operation: Operation,
    queued: QueuedOperation,
    history: History,
    accesses: readonly Access[],
    nodes: readonly (OperationName | undefined)[],
  ): void {
    this.#open = { operation, queued, history, accesses, nodes, outer: this.#open, bodies: undefined }
  }

  #stack(): readonly Frame[] | undefined {
    return this.#hasStacks ? captureStack() : undefined
  }

  /** Compares with the history, and for the body of a conditional with what is around it. */
  #check(
    history: History,
    lane: Lane,
    { accesses, chain }: Operation,
    nodes: readonly (OperationName | undefined)[],
  ): void {
    for (let scope: History | undefined = history, inner = lane; scope !== undefined;) {
      const clock = scope.clockIn(chain, inner)
      for (let index = 0; index < accesses.length; index++) {
        const access = accesses[index]
        if (access !== undefined) scope.check(inner, clock, access, nodes[index], this.#found)
      }
      const { around }: History = scope
      if (around === undefined) return
      scope = around.history
      inner = around.lane
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
    const open = this.#open
    if (open === undefined || open.operation !== operation) return
    this.#open = open.outer
    const { queued, history, accesses, nodes, bodies } = open
    const { lane } = queued
    const { chain } = operation
    if (chain !== undefined) lane.clock = history.clockIn(chain, lane)
    queued.tick = ++lane.tick
    for (let index = 0; index < accesses.length; index++) {
      const access = accesses[index]
      if (access !== undefined) note(history, queued, access, nodes[index])
    }
    if (chain !== undefined) history.endChain(chain, lane.now())
    if (bodies !== undefined) for (const body of bodies) this.#include(body, history, queued)
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
    if (this.#open?.operation === operation) this.#open = this.#open.outer
  }

  override recorded(stream: StreamState, point: RecordPoint): void {
    if (this.#isLaunchingGraph) return
    const history = this.#historyOf(stream)
    const moment = history.laneOf(stream).now()
    this.#moments.set(point, moment)
    if (point.isExposed) history.expose(moment)
  }

  override marked(stream: StreamState, point: RecordPoint): void {
    this.#moments.set(point, this.#deviceOf(stream.order).laneOf(stream).now())
  }

  override markedAll(order: DeviceOrder, point: RecordPoint): void {
    this.#moments.set(point, this.#deviceOf(order).now())
  }

  override copied(point: RecordPoint, copy: RecordPoint): void {
    const moment = this.#moments.get(point)
    if (moment !== undefined) this.#moments.set(copy, moment)
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
    const conditional = this.#open
    const isBody = conditional?.operation.kind === "conditional" && conditional.operation.stream.order === capture.order
    const history = new History(
      true,
      isBody ? { history: conditional.history, lane: conditional.queued.lane } : undefined,
    )
    if (isBody) (conditional.bodies ??= []).push(history)
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
    return width > 0 && !isWrapped(access) && address >= birth.begin && address < birth.end
  })
}

/** Notes an access, also for the conditional around it. */
function note(history: History, operation: QueuedOperation, access: Access, node: OperationName | undefined): void {
  history.note(operation, access, node)
  if (history.around !== undefined) history.collected.push({ operation, access, node })
}
