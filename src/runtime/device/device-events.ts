/** The events of one device: makes them, and releases those that were disposed of or forgotten. */
import { checkBoolean, checkName, checkOptions } from "../../common/check.js"
import { OwnedResources } from "../memory/owned/resources.js"
import { EventState } from "../order/event-state.js"
import type { Device } from "./device.js"
import { Event } from "./event.js"

/** Options of {@link Device.createEvent}. */
export interface EventOptions {
  /** Whether the event measures time, for {@link Event.elapsedTime}. Such an event costs more. Default: false. */
  readonly timing?: boolean | undefined
  /** The event's name in errors and traces. */
  readonly name?: string | undefined
}

const eventOptions: ReadonlySet<string> = new Set(["timing", "name"] satisfies (keyof EventOptions)[])

/** The events of one device. */
export class DeviceEvents {
  readonly #device: Device
  /** Events that are forgotten return to a pool without a warning, so that you may create one for a single call. */
  readonly #owned = new OwnedResources<EventState>(undefined)
  /** Events whose native handles the user has read. Other code may still use them, so they are kept until disposed of. */
  readonly #shared = new Map<EventState, Event>()
  #count = 0

  constructor(device: Device) {
    this.#device = device
  }

  /** See {@link Device.createEvent}. */
  create(options: EventOptions): Event {
    checkOptions(options, "options", eventOptions)
    const { timing = false, name } = options
    checkBoolean(timing, "timing")
    checkName(name, "name")
    this.#device.checkUsable()
    const state = new EventState(this.#device.order, timing)
    const event = new Event(this.#device, state, name ?? `event ${++this.#count}`)
    this.#owned.add(event, state)
    return event
  }

  /** The event's native handle. The event is kept from now on, because other code may use it. */
  share(event: Event): bigint {
    this.#shared.set(event.state, event)
    return this.#device.driver.events.foreignHandle(event.state.handle)
  }

  dispose(state: EventState): void {
    this.#shared.delete(state)
    this.#owned.dispose(state)
  }

  /** The device is closed. */
  disposeAll(): void {
    this.#owned.disposeAll()
    this.#shared.clear()
  }
}
