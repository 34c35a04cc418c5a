import type { Device } from "../runtime/device/device.js"
import type { Event } from "../runtime/device/event.js"

const pools = new WeakMap<Device, Event[]>()

/**
 * Acquires an event for one fork-join: the caller's, or a pooled one if the caller has none or if another fork-join has
 * recorded it and not yet waited for it. Recording it again would lose the other's order.
 */
export function lease(event: Event | undefined, device: Device): Event {
  const leased = event === undefined || event.state.held ? fromPool(device) : event
  leased.state.held = true
  return leased
}

function fromPool(device: Device): Event {
  const idle = pools.get(device)?.pop()
  if (idle !== undefined) return idle
  const event = device.createEvent({ name: "pooled event" })
  event.state.pooled = true
  return event
}

/** Releases an event that {@link lease} returned. */
export function release(event: Event): void {
  event.state.held = false
  if (event.state.pooled) toPool(event)
}

function toPool(event: Event): void {
  const pool = pools.get(event.device)
  if (pool === undefined) pools.set(event.device, [event])
  else pool.push(event)
}
