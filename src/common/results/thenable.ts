/**
 * Calls `then` of a thenable, exactly once and now, so that a lazy one starts here, with the current stream of this place.
 *
 * @returns a promise of its result; undefined if the value is not a thenable
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

/** Whether this is a native promise without a subclass, and without a constructor of its own that `await` would read. */
function isPlainPromise(value: object): value is Promise<unknown> {
  return Object.getPrototypeOf(value) === Promise.prototype && !Object.hasOwn(value, "constructor")
}
