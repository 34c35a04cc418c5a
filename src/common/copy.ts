/**
 * A process may load the package twice: as another version deeper in `node_modules`, or again by a test runner that resets
 * modules. `instanceof` fails for objects of the other copy. So every object is marked with its copy, and an error can name
 * the cause.
 */

const mark = Symbol.for("auxstream.copy")

/** This copy. It is compared by identity, because two copies may come from one file. */
const here = { url: import.meta.url }

/** Marks all objects of a class as made by this copy. */
export function markAsOurs(kind: { readonly prototype: object }): void {
  Object.defineProperty(kind.prototype, mark, { value: here })
}

/** The place of the other copy that made an object; undefined for an object of this copy or of other code. */
export function otherCopyOf(value: object): string | undefined {
  const copy: unknown = Reflect.get(value, mark)
  if (typeof copy !== "object" || copy === null || copy === here) return undefined
  return String(Reflect.get(copy, "url") ?? "in a bundle")
}
