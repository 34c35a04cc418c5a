import type { HostStream } from "../queue/stream.js"
import type { HostBirth } from "../queue/waits.js"

/** A record of a birth. It is reused when the birth is over. */
type Place = { -readonly [K in keyof HostBirth]: HostBirth[K] | (K extends "stream" ? undefined : never) }

/** This many records stay: a map that deletes and adds the same few keys again and again is rebuilt all the time. */
const KEPT = 1024

/** The births that may not be over yet, by the memory's address. */
export class Births {
  readonly #places = new Map<number, Place>()

  noteAllocation(address: number, stream: HostStream): void {
    this.#note(address, stream, true, false)
  }

  noteContents(address: number, stream: HostStream, isEarly: boolean): void {
    this.#note(address, stream, isEarly, true)
  }

  #note(address: number, stream: HostStream, isEarly: boolean, hasContents: boolean): void {
    const position = stream.slot.tail
    const place = this.#places.get(address)
    if (place === undefined) {
      this.#places.set(address, { stream, position, isEarly, hasContents, needsContents: hasContents })
      return
    }
    place.stream = stream
    place.position = position
    place.isEarly = isEarly
    place.hasContents = hasContents
    place.needsContents = hasContents
  }

  /** An operation that overwrites all of the memory has been queued. */
  forgetContents(address: number): void {
    const place = this.#places.get(address)
    if (place !== undefined) place.needsContents = false
  }

  get(address: number): HostBirth | undefined {
    const place = this.#places.get(address)
    return place !== undefined && isTaken(place) ? place : undefined
  }

  /** The memory has been freed, or its birth is over. */
  forget(address: number): void {
    const place = this.#places.get(address)
    if (place === undefined) return
    place.stream = undefined
    if (this.#places.size > KEPT) this.#places.delete(address)
  }
}

function isTaken(place: Place): place is Place & HostBirth {
  return place.stream !== undefined
}
