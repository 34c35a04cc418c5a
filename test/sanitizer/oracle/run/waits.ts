/** Events, waits and synchronisations. */
import type { Before } from "../model/order.js"
import type { OfKind, Region, Statement, Sync } from "../program.js"
import type { Place } from "./place.js"
import type { Steps } from "./schedule.js"
import type { Setting } from "./setting.js"

/** Statements whose effect depends on how far the device is. */
const untimely: ReadonlySet<Sync> = new Set<Sync>([
  ...(["query", "queryEvent", "readLater", "completedLater", "completedEventLater"] as const),
])

export class Waits {
  readonly #setting: Setting
  /** Promises that the program has not awaited. */
  readonly pending: Promise<unknown>[] = []

  constructor(setting: Setting) {
    this.#setting = setting
  }

  event({ kind, event: number, stream }: OfKind<Statement, "record" | "wait">, place: Place): void {
    const known = place.local.event(number)
    const path = this.#setting.path(stream, place)
    if (kind === "record") {
      known.event.record(path.stream)
      known.point = path.lane.before
      known.capture = place.capture
    } else if (known.point === undefined) known.event.wait(path.stream)
    else if (known.capture === place.capture) this.#setting.wait(path, known.point, () => known.event.wait(path.stream))
  }

  order({ before, after, byEvent }: OfKind<Statement, "order">, place: Place): void {
    if (place.capture?.isBody === true) return
    const [first, second] = [this.#setting.path(before, place), this.#setting.path(after, place)]
    const point = first.lane.before
    const wait = () => second.stream.wait(byEvent ? first.stream.record() : first.stream)
    this.#setting.wait(second, point, wait)
  }

  /** A synchronisation that a test may leave out. */
  #learn(point: Before, synchronize: () => void): void {
    if (this.#setting.judge.leavesOut()) return
    synchronize()
    this.#setting.model.order.learn(point)
  }

  *sync({ way, which, region }: OfKind<Statement, "sync">, place: Place): Steps {
    if (this.#setting.judge.isTimeless && untimely.has(way)) return
    const { local } = place
    const { device } = local.world
    const { stream, lane } = local.named(which)
    const { event, point, capture } = local.event(which)
    const isEvents = way === "event" || way.includes("Event")
    if (isEvents && (point === undefined || capture !== undefined)) return
    const known = isEvents ? (point ?? lane.before) : lane.before
    switch (way) {
      case "stream":
      case "event":
        return this.#learn(known, () => (way === "event" ? event : stream).synchronize())
      case "device":
        return this.#learn(local.everything, () => device.synchronize())
      case "poll":
      case "pollEvent":
        return this.#learn(known, () => poll(way === "poll" ? stream : event))
      case "query":
      case "queryEvent":
        if ((way === "query" ? stream : event).query()) this.#setting.model.order.learn(known)
        return
      case "read":
      case "readLater":
        return yield* this.#read(region, place, way === "readLater")
      case "completed":
      case "completedLater":
      case "completedEvent":
      case "completedEventLater":
      case "completedDevice":
        if (place.isAsync) yield* this.#complete(way, known, place, { stream, event, device }[targetOf(way)])
    }
  }

  *#complete(way: Sync, known: Before, place: Place, target: { completed(): Promise<void> }): Steps {
    if (way.endsWith("Later")) return yield* this.#later(target.completed(), known)
    const { order } = this.#setting.model
    const start = async () => {
      const isCaptured = place.local.events.some((one) => one.event === target && one.capture !== undefined)
      if (isCaptured || this.#setting.judge.leavesOut()) return
      // The stream may have got more work before this had its turn.
      const now = targetOf(way) === "device" ? place.local.everything : (this.#now(target, place) ?? known)
      await target.completed()
      order.learn(now)
    }
    yield { kind: "settle", start }
  }

  /** What a stream or an event stands for now. */
  #now(target: { completed(): Promise<void> }, { local }: Place): Before | undefined {
    const path = local.streams.find(({ stream }) => Object.is(stream, target))
    const known = local.events.find(({ event }) => Object.is(event, target))
    return path?.lane.before ?? known?.point
  }

  /** Continues while the promise is pending. The library learns of its end as soon as it settles. */
  *#later(promise: Promise<unknown>, known: Before): Steps {
    const learned = this.#learnFrom(promise, known)
    yield { kind: "pause" }
    yield { kind: "settle", start: () => learned }
  }

  *#read(region: Region, place: Place, isLater: boolean): Steps {
    const found = this.#setting.planner(place).bytes(region)?.array
    if (found === undefined || "array" in found || found.length === 0) return
    const path = this.#setting.current(place)
    const uses = [place.local.world.whole(found).use(false)]
    let promise: Promise<unknown> | undefined
    const read = () => {
      // A promise would reject too late for the operation to be queued again.
      if (place.isAsync && !this.#setting.judge.isTimeless) promise = found.read()
      else found.readSync()
    }
    this.#setting.operation(place, () => this.#setting.model.attempt(path.lane, "read", uses), read)
    const known = path.lane.before
    if (promise === undefined) this.#setting.model.order.learn(known)
    else if (isLater) yield* this.#later(promise, known)
    else yield* this.#await(promise, known)
  }

  /** Awaits without giving its turn to others. */
  *#await(promise: Promise<unknown>, known: Before): Steps {
    const learned = this.#learnFrom(promise, known)
    yield { kind: "settle", start: () => learned }
  }

  /** The library learns of the end some microtasks before the program does, and others may run between. */
  #learnFrom(promise: Promise<unknown>, known: Before): Promise<void> {
    const { order } = this.#setting.model
    order.learn({ promised: 0n, possible: known.possible })
    const learned = promise.then(() => order.learn(known))
    this.pending.push(learned)
    return learned
  }
}

function poll(target: { query(): boolean }): void {
  while (!target.query());
}

function targetOf(way: Sync): "stream" | "event" | "device" {
  if (way.startsWith("completedEvent")) return "event"
  return way === "completedDevice" ? "device" : "stream"
}
