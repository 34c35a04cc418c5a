/**
 * The method by which scopes look into the library's own objects that hold what a function returned: a value, or the
 * promise of one that is not there yet. A failure of that promise must have been taken care of.
 */
export const contents: unique symbol = Symbol("contents")

/** An object with that method. */
export interface Holder {
  [contents](): unknown
}

/** Does it have the method? */
export function isHolder(object: object): object is Holder {
  return contents in object
}
