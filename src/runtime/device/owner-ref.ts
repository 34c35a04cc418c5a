import { setImmediate } from "../../common/timers.js"

/** The most references that are made before the code returns to the event loop. */
const MOST = 64

let made = 0

/**
 * A reference by which observers find a stream. The engine keeps the target of a new WeakRef until the code returns to the
 * event loop. So that a long loop keeps only a few of the streams that it disposes of, only its first streams get one.
 */
export function ownerRef<T extends object>(stream: T): WeakRef<T> | undefined {
  if (made === MOST) return undefined
  if (made++ === 0) setImmediate(() => (made = 0)).unref()
  return new WeakRef(stream)
}
