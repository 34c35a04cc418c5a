/**
 * Adopts a thenable: exactly once and at once, so that a lazy one starts here, with the stream that is current here.
 *
 * @returns its promise; undefined if the value is no thenable
 */
export function adopt(value: unknown): Promise<unknown> | undefined {
  return (typeof value === "object" || typeof value === "function") && value !== null ? adoptObject(value) : undefined
}

function adoptObject(value: object): Promise<unknown> | undefined {
  const { then }: { then?: unknown } = value
  if (typeof then !== "function") return undefined
  if (isPlainPromise(value) && then === Promise.prototype.then) return value
  return new Promise((resolve, reject) => void Reflect.apply(then, value, [resolve, reject]))
}

/** One that nothing of a subclass's or of its own stands in the way of: others may look at its constructor. */
function isPlainPromise(value: object): value is Promise<unknown> {
  return Object.getPrototypeOf(value) === Promise.prototype && !Object.hasOwn(value, "constructor")
}
