/**
 * A signature without its structs: a list of the scalars and pointers of a launch, and the structs' bytes one after
 * another. Both drivers get arguments in this form, so everything about arrays is the same for those inside structs.
 */
import { type AggregateLayout, alignUp, type Layout, type Primitive } from "./layout.js"

/** A struct of a signature, and where it begins among the bytes of all of them. */
export interface PlacedAggregate {
  readonly layout: AggregateLayout
  readonly offset: number
}

/** A scalar, or a pointer to an array, and its place in the signature, such as `2.table`. */
export interface FlatPrimitive extends Primitive {
  readonly path: string
}

export interface FlatSignature {
  /** The parameters that are not structs, in order; then the pointers inside structs, in order. */
  readonly primitives: readonly FlatPrimitive[]
  /** For each parameter, its index among the primitives, or its struct. */
  readonly places: readonly (number | PlacedAggregate)[]
  /** Bytes of all structs. */
  readonly byteLength: number
  /** Where the pointers inside structs are in these bytes. */
  readonly pointers: readonly number[]
}

/** Flattens a signature. */
export function flatten(parameters: readonly (Primitive | AggregateLayout)[]): FlatSignature {
  const primitives: FlatPrimitive[] = []
  const places: (number | PlacedAggregate)[] = []
  let byteLength = 0
  for (const [index, parameter] of parameters.entries()) {
    if ("kind" in parameter) {
      const offset = alignUp(byteLength, parameter.align)
      places.push({ layout: parameter, offset })
      byteLength = offset + parameter.byteLength
    } else {
      const { dtype, access } = parameter
      places.push(primitives.push({ dtype, access, path: `${index}` }) - 1)
    }
  }
  const pointers: number[] = []
  for (const [index, place] of places.entries()) {
    if (typeof place === "number") continue
    forEachPointer(place.layout, place.offset, `${index}`, (primitive, offset) => {
      primitives.push(primitive)
      pointers.push(offset)
    })
  }
  return { primitives, places, byteLength, pointers }
}

/** Visits the pointers of a layout, in order. */
function forEachPointer(
  layout: Layout,
  offset: number,
  path: string,
  visit: (primitive: FlatPrimitive, offset: number) => void,
): void {
  if (layout.kind === "primitive") {
    const { dtype, access } = layout
    if (access !== undefined) visit({ dtype, access, path }, offset)
  } else if (layout.kind === "array") {
    const { element, length } = layout
    if (!hasPointer(element)) return
    for (let index = 0; index < length; index++) {
      forEachPointer(element, offset + index * element.byteLength, `${path}[${index}]`, visit)
    }
  } else if (layout.kind === "struct") {
    for (const field of layout.fields) {
      forEachPointer(field.layout, offset + field.offset, `${path}.${field.name}`, visit)
    }
  }
}

/** Whether a layout has a pointer inside. */
export function hasPointer(layout: Layout): boolean {
  switch (layout.kind) {
    case "primitive":
      return layout.access !== undefined
    case "opaque":
      return false
    case "array":
      return hasPointer(layout.element)
    case "struct":
      return layout.fields.some(({ layout: field }) => hasPointer(field))
  }
}
