/**
 * How C and C++ lay out a struct: each field begins at the next multiple of its alignment, and the size is rounded up to
 * the largest alignment. CUDA, gcc, clang and MSVC agree on that for the types here. Only the size of a pointer differs: 8
 * bytes on CUDA, 4 in WebAssembly.
 */
import type { DType } from "../dtype/dtype.js"
import { elementsOf } from "../dtype/elements.js"

/** How a kernel uses an array. An `out` array need not be fully written. */
export type Access = "in" | "out" | "inout"

/** A scalar or, with an access, a pointer to the elements of an array. */
export interface Primitive {
  readonly dtype: DType
  readonly access: Access | undefined
}

interface Sized {
  readonly byteLength: number
  /** In bytes, a power of two. */
  readonly align: number
}

export interface PrimitiveLayout extends Sized, Primitive {
  readonly kind: "primitive"
}

/** Bytes with a size and an alignment, but no known contents. */
export interface OpaqueLayout extends Sized {
  readonly kind: "opaque"
}

/** An array inside a struct. */
export interface ArrayLayout extends Sized {
  readonly kind: "array"
  readonly element: Layout
  readonly length: number
}

export interface FieldLayout {
  readonly name: string
  /** In bytes from the beginning of the struct. */
  readonly offset: number
  readonly layout: Layout
}

export interface StructLayout extends Sized {
  readonly kind: "struct"
  readonly fields: readonly FieldLayout[]
  /** The minimum alignment of the struct, as with `alignas`. */
  readonly leastAlign: number
}

export type Layout = PrimitiveLayout | OpaqueLayout | ArrayLayout | StructLayout

/** A parameter by value that is not a scalar. */
export type AggregateLayout = StructLayout | OpaqueLayout

/** Bytes of a pointer on CUDA. */
export const WIDE_POINTER = 8
/** Bytes of a pointer in WebAssembly. */
export const NARROW_POINTER = 4

export function primitiveLayout({ dtype, access }: Primitive, pointerBytes = WIDE_POINTER): PrimitiveLayout {
  const byteLength = access === undefined ? elementsOf(dtype).byteLength : pointerBytes
  return { kind: "primitive", dtype, access, byteLength, align: byteLength }
}

export function opaqueLayout(byteLength: number, align: number): OpaqueLayout {
  return { kind: "opaque", byteLength, align }
}

export function arrayLayout(element: Layout, length: number): ArrayLayout {
  return { kind: "array", element, length, byteLength: element.byteLength * length, align: element.align }
}

export function structLayout(
  members: readonly { readonly name: string; readonly layout: Layout }[],
  leastAlign = 1,
): StructLayout {
  const fields: FieldLayout[] = []
  let end = 0
  for (const { name, layout } of members) {
    const offset = alignUp(end, layout.align)
    fields.push({ name, offset, layout })
    end = offset + layout.byteLength
  }
  const align = Math.max(leastAlign, ...members.map(({ layout }) => layout.align))
  return { kind: "struct", fields, leastAlign, align, byteLength: alignUp(end, align) }
}

/** The same type for pointers of another size. */
export function withPointers<L extends Layout>(layout: L, pointerBytes: number): L
export function withPointers(layout: Layout, pointerBytes: number): Layout {
  switch (layout.kind) {
    case "primitive":
      return primitiveLayout(layout, pointerBytes)
    case "opaque":
      return layout
    case "array":
      return arrayLayout(withPointers(layout.element, pointerBytes), layout.length)
    case "struct":
      return structLayout(
        layout.fields.map(({ name, layout: field }) => ({ name, layout: withPointers(field, pointerBytes) })),
        layout.leastAlign,
      )
  }
}

/** The size that a kernel's code must have for a parameter. */
export function parameterBytes(parameter: Primitive | AggregateLayout): number {
  return "kind" in parameter ? parameter.byteLength : primitiveLayout(parameter).byteLength
}

/** The next multiple of an alignment. */
export function alignUp(offset: number, align: number): number {
  return Math.ceil(offset / align) * align
}
