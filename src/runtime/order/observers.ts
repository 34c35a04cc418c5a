/**
 * The observers of this thread. They see every device, those that are opened later, too. Each device's order holds the
 * observer that is to be asked, because an operation looks at its order in any case: so without one it costs a single check.
 */
import type { Ordered } from "./clock.js"
import type { DeviceOrder } from "./device-order.js"
import { OperationObserver } from "./observer.js"
import type { Operation } from "./operation.js"
import type { RecordPoint } from "./record-point.js"
import type { StreamState } from "./stream-state.js"

const orders = new Set<DeviceOrder>()
let observers: readonly OperationObserver[] = []

/** Has an observer see everything that is queued from now on. Returns a function that ends this. */
export function observe(observer: OperationObserver): () => void {
  setObservers([...observers, observer])
  let isOver = false
  return () => {
    if (isOver) return
    isOver = true
    setObservers(observers.filter((one) => one !== observer))
  }
}

function setObservers(next: readonly OperationObserver[]): void {
  observers = next
  const observer = observerOf(next)
  for (const order of orders) order.observer = observer
}

/** The one to be asked for all of them. */
function observerOf(all: readonly OperationObserver[]): OperationObserver | undefined {
  return all.length > 1 ? new SeveralObservers(all) : all[0]
}

/** A device is opened: the observers see it until it is closed. */
export function openToObservers(order: DeviceOrder): void {
  orders.add(order)
  order.observer = observerOf(observers)
}

export function closeToObservers(order: DeviceOrder): void {
  orders.delete(order)
}

/** Several observers as one, in the order in which they began. */
class SeveralObservers extends OperationObserver {
  readonly #all: readonly OperationObserver[]

  constructor(all: readonly OperationObserver[]) {
    super()
    this.#all = all
  }

  /** Each sees the choice of the one before. */
  override place(operation: Operation): StreamState {
    for (const one of this.#all) operation.stream = one.place(operation)
    return operation.stream
  }

  /** Those that have let it pass are told if a later one does not. */
  override before(operation: Operation): void {
    for (const [index, one] of this.#all.entries()) {
      try {
        one.before(operation)
      } catch (error) {
        for (const other of this.#all.slice(0, index)) other.refused(operation, error)
        throw error
      }
    }
  }

  override accepted(operation: Operation, tick: number): void {
    for (const one of this.#all) one.accepted(operation, tick)
  }

  override refused(operation: Operation, error: unknown): void {
    for (const one of this.#all) one.refused(operation, error)
  }

  override recorded(stream: StreamState, point: RecordPoint): void {
    for (const one of this.#all) one.recorded(stream, point)
  }

  override waited(stream: StreamState, point: RecordPoint, isSent: boolean): void {
    for (const one of this.#all) one.waited(stream, point, isSent)
  }

  override synchronized(order: DeviceOrder, clock: Ordered): void {
    for (const one of this.#all) one.synchronized(order, clock)
  }

  override allocated(stream: StreamState, memory: object, address: number, byteLength: number): void {
    for (const one of this.#all) one.allocated(stream, memory, address, byteLength)
  }

  override freed(stream: StreamState, memory: object): void {
    for (const one of this.#all) one.freed(stream, memory)
  }
}
