/**
 * One process may load the package twice: another version of it further down in `node_modules`, or the same file again by a
 * test runner that resets modules. What one copy made is no object of the other's classes, so it is marked, and an error
 * can say what is wrong.
 */

const mark = Symbol.for("auxstream.copy")

/** This copy. Objects are compared, as two may be of one file. */
const here = { url: import.meta.url }

/** Marks all objects of a class as made by this copy. */
export function markAsOurs(kind: { readonly prototype: object }): void {
  Object.defineProperty(kind.prototype, mark, { value: here })
}

/** Where the other copy is that an object comes from; undefined for one of this copy's, and for a stranger. */
export function otherCopyOf(value: object): string | undefined {
  const copy: unknown = Reflect.get(value, mark)
  if (typeof copy !== "object" || copy === null || copy === here) return undefined
  return String(Reflect.get(copy, "url") ?? "in a bundle")
}
