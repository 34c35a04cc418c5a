/**
 * The observers of this thread. They observe all devices, including those opened later. Each {@link DeviceOrder} holds the
 * observer, because an operation reads its order in any case. So without an observer, an operation pays a single check.
 */
import type { DeviceOrder } from "../device-order.js"
import { sharedNow } from "../../../common/timers.js"
import { type HostCallName, OperationObserver } from "./observer.js"
import type { Operation } from "./operation.js"
import type { RecordPoint } from "../record-point.js"
import type { Region } from "./region.js"
import type { StreamState } from "../stream-state.js"

const orders = new Set<DeviceOrder>()
let observers: readonly OperationObserver[] = []
let combined: OperationObserver | undefined
/** Stands in for an observer while a capture is open, because a graph keeps the fork-joins that it was captured from. */
const silent = new OperationObserver()
let openCaptures = 0
let regionObserver: OperationObserver | undefined

/** Makes an observer see everything that is queued from now on. @returns a function that ends this */
export function observe(observer: OperationObserver): () => void {
  setObservers([...observers, observer])
  for (const order of orders) observer.opened(order)
  let isOver = false
  return () => {
    if (isOver) return
    isOver = true
    setObservers(observers.filter((one) => one !== observer))
  }
}

function setObservers(next: readonly OperationObserver[]): void {
  observers = next
  combined = observerOf(next)
  updateRegionObserver()
  for (const order of orders) order.observer = combined
}

/** The observer of this thread, for code that has no {@link DeviceOrder}. */
export function currentObserver(): OperationObserver | undefined {
  return combined
}

/** To whom fork-join calls of this thread are shown; undefined if nobody needs to know them. */
export function currentRegionObserver(): OperationObserver | undefined {
  return regionObserver
}

/** Called when a device begins or ends captures: by how much the number of open ones has changed. */
export function countCaptures(change: number): void {
  openCaptures += change
  updateRegionObserver()
}

function updateRegionObserver(): void {
  regionObserver = combined ?? (openCaptures > 0 ? silent : undefined)
}

/** One observer that calls all of them. */
function observerOf(all: readonly OperationObserver[]): OperationObserver | undefined {
  return all.length > 1 ? new SeveralObservers(all) : all[0]
}

/** Called when a device is opened. The observers see it until it is closed. */
export function openToObservers(order: DeviceOrder): void {
  orders.add(order)
  order.observer = combined
  combined?.opened(order)
}

export function closeToObservers(order: DeviceOrder): void {
  if (orders.delete(order)) combined?.closing(order)
}

/** Shows a call of the program that may take time. */
export function showCall<T>(name: HostCallName, call: () => T): T {
  const observer = combined
  if (observer === undefined) return call()
  const start = sharedNow()
  let result: T | undefined
  try {
    result = call()
    return result
  } finally {
    const end = () => observer.hostCalled(name, start)
    if (result instanceof Promise) void result.then(end, end)
    else end()
  }
}

/** Combines several observers, in the order in which they were added. */
class SeveralObservers extends OperationObserver {
  readonly #all: readonly OperationObserver[]

  constructor(all: readonly OperationObserver[]) {
    super()
    this.#all = all
  }

  /** Each observer sees the stream that the previous one chose. */
  override place(operation: Operation): StreamState {
    for (const one of this.#all) operation.stream = one.place(operation)
    return operation.stream
  }

  override named(order: DeviceOrder): void {
    for (const one of this.#all) one.named(order)
  }

  /** If an observer refuses the operation, those before it are told. */
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

  override marked(stream: StreamState, point: RecordPoint): void {
    for (const one of this.#all) one.marked(stream, point)
  }

  override markedAll(order: DeviceOrder, point: RecordPoint): void {
    for (const one of this.#all) one.markedAll(order, point)
  }

  override copied(point: RecordPoint, copy: RecordPoint): void {
    for (const one of this.#all) one.copied(point, copy)
  }

  override exposed(order: DeviceOrder, point: RecordPoint): void {
    for (const one of this.#all) one.exposed(order, point)
  }

  override synchronized(order: DeviceOrder, point: RecordPoint): void {
    for (const one of this.#all) one.synchronized(order, point)
  }

  override failed(order: DeviceOrder, point: RecordPoint): void {
    for (const one of this.#all) one.failed(order, point)
  }

  override leased(stream: StreamState): void {
    for (const one of this.#all) one.leased(stream)
  }

  override allocated(stream: StreamState, memory: object, address: number, byteLength: number): void {
    for (const one of this.#all) one.allocated(stream, memory, address, byteLength)
  }

  override provided(order: DeviceOrder, memory: object, address: number, byteLength: number): void {
    for (const one of this.#all) one.provided(order, memory, address, byteLength)
  }

  override born(stream: StreamState, memory: object, address: number, byteLength: number): void {
    for (const one of this.#all) one.born(stream, memory, address, byteLength)
  }

  override freed(stream: StreamState, memory: object, address: number, byteLength: number): void {
    for (const one of this.#all) one.freed(stream, memory, address, byteLength)
  }

  override opened(order: DeviceOrder): void {
    for (const one of this.#all) one.opened(order)
  }

  override closing(order: DeviceOrder): void {
    for (const one of this.#all) one.closing(order)
  }

  override hostCalled(name: HostCallName, start: number): void {
    for (const one of this.#all) one.hostCalled(name, start)
  }

  override began(region: Region): void {
    for (const one of this.#all) one.began(region)
  }

  override ended(region: Region): void {
    for (const one of this.#all) one.ended(region)
  }
}
