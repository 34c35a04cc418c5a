import type { Device } from "../../src/index.js"
import type { StreamState } from "../../src/runtime/order/stream-state.js"
import type { TickTable } from "../../src/runtime/clock/tick-table.js"

/**
 * Lists what every stream of a device has queued and done, and what its next operation runs after. For debugging a hang; see
 * docs/architecture.md. It waits for nothing and does not change the clocks.
 */
export function dump(device: Device): string {
  const streams = [...device.order.live]
  const names = new Map(streams.map(({ slot, name }) => [slot, name]))
  return streams.map((state) => describe(state, names)).join("\n")
}

function describe(state: StreamState, names: ReadonlyMap<number, string>): string {
  const parts = [`slot ${state.slot}`, `tick ${state.tick}`, progressOf(state)]
  if (state.capture !== undefined) parts.push("capturing")
  if (state.failure !== undefined) parts.push("broken")
  state.clock.visitNew(new WeakSet<TickTable>(), (slot, tick) => {
    if (slot !== state.slot && tick > 0) parts.push(`after ${names.get(slot) ?? `slot ${slot}`}:${tick}`)
  })
  return `${state.name}: ${parts.join(", ")}`
}

/** On the host, positions in the stream's queue. On CUDA, only whether everything is done. */
function progressOf({ failures, order, handle }: StreamState): string {
  if (failures === undefined) return order.driver.streams.query(handle) ? "done" : "not done"
  let [passed, queued] = [0, failures.position]
  while (passed < queued) {
    const middle = Math.ceil((passed + queued) / 2)
    if (failures.hasPassed(middle)) passed = middle
    else queued = middle - 1
  }
  return `queued ${failures.position}, done ${passed}`
}
