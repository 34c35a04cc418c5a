import type { Device } from "../runtime/device/device.js"
import type { Event } from "../runtime/device/event.js"

const pools = new WeakMap<Device, Event[]>()

/**
 * Takes an event for one fork-join. While another holds it recorded and not yet waited for, that one's record must
 * stand, so a pooled event takes its place; also where the caller has none.
 */
export function lease(event: Event | undefined, device: Device): Event {
  const leased = event === undefined || event.state.held ? borrow(device) : event
  leased.state.held = true
  return leased
}

function borrow(device: Device): Event {
  const idle = pools.get(device)?.pop()
  if (idle !== undefined) return idle
  const event = device.createEvent({ name: "pooled event" })
  event.state.pooled = true
  return event
}

/** Gives back what {@link lease} gave. */
export function release(event: Event): void {
  event.state.held = false
  if (event.state.pooled) giveBack(event)
}

function giveBack(event: Event): void {
  const pool = pools.get(event.device)
  if (pool === undefined) pools.set(event.device, [event])
  else pool.push(event)
}
