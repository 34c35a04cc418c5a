/**
 * Resident kernels need the whole device. In a call that a policy lets overlap, such a kernel runs after everything that the
 * call's other streams have queued, and before everything that they queue later. Programs without resident kernels never
 * come here.
 */
import type { StreamState } from "../stream-state.js"

let exist = false
/** The streams of each call that a policy lets overlap now. */
const calls = new Set<readonly StreamState[]>()

/** Must be called when a resident kernel is defined. */
export function noteResidentKernel(): void {
  exist = true
}

/** Whether any kernel is resident. If not, nothing of this file is needed. */
export function haveResidentKernels(): boolean {
  return exist
}

/** Makes a call whose functions run side by side on these streams. It is over when it has returned or its promise settles. */
export function sideBySide<T>(streams: readonly StreamState[], call: () => T): T {
  if (!exist) return call()
  calls.add(streams)
  const end = () => void calls.delete(streams)
  let isLater = false
  try {
    const result = call()
    isLater = result instanceof Promise
    if (result instanceof Promise) void result.then(end, end)
    return result
  } finally {
    if (!isLater) end()
  }
}

/**
 * Must be called before a resident kernel is launched on a stream: makes it run after the other streams' work.
 *
 * @returns must be called after the launch: makes the other streams run after it
 */
export function holdOthers(stream: StreamState): () => void {
  stream.order.residentLaunches += 1
  const others = connected(stream)
  for (const other of others) if (other.capture === stream.capture) stream.waitFor(other)
  return () => {
    // Inside a capture, this brings in the streams whose functions have not been called yet. The capture's end joins all.
    for (const other of others) other.waitFor(stream)
  }
}

/** The other streams of all calls that the stream is part of, and of the calls that those streams are part of. */
function connected(stream: StreamState): StreamState[] {
  const found = new Set([stream])
  for (const one of found) {
    for (const streams of calls) {
      // What runs outside of a capture cannot wait for what runs inside.
      if (streams[0]?.capture !== stream.capture || !streams.includes(one)) continue
      for (const other of streams) found.add(other)
    }
  }
  found.delete(stream)
  return [...found].filter(
    ({ disposed, capture }) => !disposed && (capture === undefined || capture === stream.capture),
  )
}
