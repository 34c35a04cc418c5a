import type { CapturedPoint } from "./branch.js"
import type { ControlMemory } from "../control/control.js"
import type { HostStream } from "./stream.js"
import { Rounds } from "../../common/rounds.js"

const SLOT_WORDS = 2

/** Where an event's time is written. Only one stream may write there: of two, the earlier record could come later. */
interface Stamp {
  /** The index of the first of two words. */
  readonly word: number
  readonly stream: HostStream
  position: number
}

/** An event. Its latest record is a position of a stream. */
export interface HostEvent {
  readonly handle: number
  timing: boolean
  stream: HostStream | undefined
  position: number
  stamp: Stamp | undefined
  /** Used instead of stream and position if the latest record was captured. */
  captured: CapturedPoint | undefined
}

/** The events of one device, by handle. */
export class EventTable {
  readonly #events: (HostEvent | undefined)[] = [undefined]
  readonly #free: HostEvent[] = []
  /** Free words for stamps. */
  readonly #words: number[] = []
  /** Released stamps. A word is free once its stream has written there for the last time. */
  readonly #stamps = new Rounds<Stamp>()
  readonly #control: ControlMemory

  constructor(control: ControlMemory) {
    this.#control = control
  }

  create(timing: boolean): number {
    const event = this.#free.pop() ?? this.#make()
    event.timing = timing
    this.#events[event.handle] = event
    return event.handle
  }

  get(handle: number): HostEvent {
    return this.#events[handle] ?? noEvent(handle)
  }

  destroy(handle: number): void {
    const event = this.#events[handle]
    if (event === undefined) return
    this.#events[handle] = undefined
    this.#releaseStamp(event)
    event.stream = undefined
    event.position = 0
    event.captured = undefined
    this.#free.push(event)
  }

  /** The word where the stream must write the time of the event's next record, which will be at `position`. */
  stampFor(event: HostEvent, stream: HostStream, position: number): number {
    let { stamp } = event
    if (stamp?.stream !== stream) {
      const word = this.#acquireWord()
      this.#releaseStamp(event)
      stamp = { word, stream, position }
      event.stamp = stamp
    }
    stamp.position = position
    return stamp.word
  }

  /** Milliseconds since a fixed moment. The event's record must have been passed. */
  timeOf(event: HostEvent): number {
    const word = event.stamp?.word
    return word === undefined ? NaN : (this.#control.doubles[word / SLOT_WORDS] ?? NaN)
  }

  #make(): HostEvent {
    const handle = this.#events.length
    const event = { handle, timing: false, stream: undefined, position: 0, stamp: undefined, captured: undefined }
    this.#events.push(event)
    return event
  }

  #releaseStamp(event: HostEvent): void {
    if (event.stamp !== undefined) this.#stamps.add(event.stamp)
    event.stamp = undefined
  }

  #acquireWord(): number {
    for (const { word } of this.#stamps.take(({ stream, position }) => stream.hasPassed(position)))
      this.#words.push(word)
    return this.#words.pop() ?? this.#control.reserve(SLOT_WORDS)
  }
}

function noEvent(handle: number): never {
  throw new RangeError(`there is no event ${handle}`)
}
