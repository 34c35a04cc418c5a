/**
 * The method with which a scope asks one of the library's objects (a fork, a graph) for its function's result: a value, or
 * a promise of one. If it is a promise, its rejection must have a handler already.
 */
export const contents: unique symbol = Symbol("contents")

/** An object with that method. */
export interface Holder {
  [contents](): unknown
}

/** Whether an object has the method. */
export function isHolder(object: object): object is Holder {
  return contents in object
}
