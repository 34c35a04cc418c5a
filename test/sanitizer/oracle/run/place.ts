/** Where a statement runs, and what a program has there: for each thing, the library's and the model's. */
import type { DeviceArray, Event, Fork, Graph, Stream } from "../../../../src/index.js"
import type { ModelGraph } from "../model/graph.js"
import { type Before, Lane, together } from "../model/order.js"
import type { World } from "./world.js"

/** A stream in both worlds. */
export interface Path {
  readonly stream: Stream
  readonly lane: Lane
  /** The same in each run of a program. */
  readonly name: string
}

/** An open capture, or the body of a conditional in one. */
export interface Capturing {
  readonly isBody: boolean
  /** Streams that were made inside, to be disposed of behind the capture. */
  readonly made: Stream[]
}

/** Where a statement runs. */
export interface Place {
  readonly local: Local
  /** The current stream of each device. */
  readonly paths: ReadonlyMap<Local, Path>
  readonly isAsync: boolean
  readonly capture: Capturing | undefined
  /** The call of a function. Only the one that made an async fork joins it, so that none waits for itself. */
  readonly call: object
}

export interface KnownEvent {
  readonly event: Event
  point: Before | undefined
  capture: Capturing | undefined
}

export interface KnownFork {
  readonly fork: Fork<unknown>
  readonly capture: Capturing | undefined
  readonly isAsync: boolean
  readonly call: object
  point: Before | undefined
  isJoined: boolean
  isDisposed: boolean
}

export interface KnownGraph {
  readonly graph: Graph<unknown>
  readonly model: ModelGraph
  hasConditionals: boolean
}

interface Temporary {
  readonly array: DeviceArray<"uint8">
  capture: Capturing | undefined
  /** Whether a graph made it. */
  isGraphs: boolean
  /** Whether it wraps memory of another one, or is wrapped. The library does not know of uses through the other one. */
  readonly wrapping: "wraps" | "is wrapped" | undefined
}

/** What a program has on one device. */
export class Local {
  readonly world: World
  readonly streams: readonly Path[]
  /** All streams in the order in which the program used them first. A stream of the pool has one path for each lease. */
  readonly paths: Path[] = []
  #scope = ""
  readonly #names = new Map<string, number>()
  readonly events: readonly KnownEvent[]
  readonly start: Event
  readonly done: readonly Event[]
  readonly forks: KnownFork[] = []
  readonly graphs: KnownGraph[] = []
  readonly temporaries: Temporary[] = []
  /** Other streams that the program made, to be disposed of at its end. */
  readonly made: Stream[] = []

  constructor(world: World) {
    this.world = world
    const { device } = world
    const streams = [device.defaultStream, device.createStream(), device.createStream(), device.createStream()]
    this.streams = streams.map((stream) => this.path(stream))
    const event = () => device.createEvent()
    this.events = Array.from({ length: 3 }, () => ({ event: event(), point: undefined, capture: undefined }))
    this.start = event()
    this.done = [event(), event(), event()]
  }

  /** A stream that the model has not seen. A stream of the pool is another one for each lease. */
  path(stream: Stream): Path {
    const path = { stream, lane: new Lane(stream.id), name: this.#nextName() }
    this.paths.push(path)
    return path
  }

  #nextName(): string {
    const count = this.#names.get(this.#scope) ?? 0
    this.#names.set(this.#scope, count + 1)
    return `${this.#scope}${count}`
  }

  /** Names streams apart from others while a conditional is captured: in another run it may have to be left out. */
  apart(fn: () => void): void {
    const scope = this.#scope
    this.#scope = `${this.#nextName()}.`
    fn()
    this.#scope = scope
  }

  /** The newest lane of a stream. */
  latest(stream: Stream): Path {
    return this.paths.findLast((path) => path.stream === stream) ?? this.path(stream)
  }

  nameOf(stream: Stream): string {
    return this.latest(stream).name
  }

  pathOf(name: string): Path | undefined {
    return this.paths.find((path) => path.name === name)
  }

  /** The point of a record on a stream now. Each lease is a stream of its own, although it comes after the former ones. */
  recorded(stream: Stream): Before {
    const leases = this.paths.filter((path) => path.stream === stream)
    const possible = leases.reduce((all, { lane }) => all | lane.before.possible, 0n)
    return { promised: this.latest(stream).lane.before.promised, possible }
  }

  named(number: number): Path {
    return this.#at(this.streams, number)
  }

  #at<T>(list: readonly T[], number: number): T {
    const one = list[number % list.length]
    if (one === undefined) throw new RangeError("an empty list")
    return one
  }

  event(number: number): KnownEvent {
    return this.#at(this.events, number)
  }

  graph(number: number): KnownGraph | undefined {
    return this.graphs[number % Math.max(1, this.graphs.length)]
  }

  /** Everything queued so far. */
  get everything(): Before {
    return this.paths.map(({ lane }) => lane.before).reduce(together)
  }

  dispose(): void {
    for (const { fork } of this.forks) fork.dispose()
    for (const { graph } of this.graphs) graph.dispose()
    for (const { array } of this.temporaries) array.dispose()
    for (const stream of [...this.streams.slice(1).map((path) => path.stream), ...this.made]) stream.dispose()
    for (const event of [...this.events.map((known) => known.event), this.start, ...this.done]) event.dispose()
  }
}
