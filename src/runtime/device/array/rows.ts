/** Copies and fills of rows with a pitch. Everything must be checked before anything is queued. */
import { checkInteger, checkOptions, mustBe } from "../../../common/check.js"
import { elementsOf } from "../../../common/dtype/elements.js"
import { AuxstreamError } from "../../../common/errors.js"
import { overlap, type StridedRange } from "../../../common/strided.js"
import { prepare, queueOperation } from "../../capture/operation.js"
import { OperationType } from "../../order/observer/operation.js"
import { PinnedAllocation } from "../../memory/pinned-allocation.js"
import { IndirectUses } from "../../memory/indirect-uses.js"
import type { Span } from "../../memory/used-memory.js"
import type { DeviceOrder } from "../../order/device-order.js"
import type { StreamState } from "../../order/stream-state.js"
import { type AnyArray, checkSameDevice, copyBytes } from "./arrays.js"
import type { DeviceArray } from "./device-array.js"

/** The rows of a fill, from the first element of the array on. CUDA: the arguments of `cudaMemset2D`. */
export interface RowsShape {
  /** The number of elements in a row. */
  readonly width: number
  /** The number of rows. */
  readonly height: number
  /** The number of elements from the beginning of one row to that of the next. Default: `width`, so there are no gaps. */
  readonly pitch?: number | undefined
}

/** The rows of a copy. CUDA: the arguments of `cudaMemcpy2D`, but in elements instead of bytes. */
export interface CopyShape extends RowsShape {
  /** Like `pitch`, in elements of the source. Default: `width`. */
  readonly sourcePitch?: number | undefined
}

const rowsNames: ReadonlySet<string> = new Set<keyof RowsShape>(["width", "height", "pitch"])
const copyNames: ReadonlySet<string> = new Set<keyof CopyShape>(["width", "height", "pitch", "sourcePitch"])

// Elements between the rows stay unchanged.
const copy = new OperationType("copy", "copy", ["write", "read"])
const upload = new OperationType("upload", "upload", ["write"])
const fill = new OperationType("fill", "fill", ["write"])

/** A checked shape, in elements. Rows without gaps become a single row. */
interface Rows {
  readonly width: number
  readonly height: number
  readonly pitch: number
  readonly sourcePitch: number
}

/** The place of rows in bytes, and their memory. */
interface Place extends Span {
  readonly rows: StridedRange
}

/** Copies rows of a device array or a pinned array. */
export function copyRows(destination: AnyArray, source: AnyArray, shape: CopyShape, stream: StreamState): void {
  source.checkUsable()
  checkSameDevice(destination, source)
  const rows = checkShape(shape, destination, source.length)
  if (rows === undefined) return
  if (rows.height === 1) return copyBytes(firstOf(destination, rows), firstOf(source, rows), stream)
  const to = placeOf(destination, rows.pitch, rows)
  const from = placeOf(source, rows.sourcePitch, rows)
  if (overlap(to.rows, from.rows)) {
    if (to.address === from.address && rows.pitch === rows.sourcePitch) return
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      "The source and the destination of a copy must not overlap. Copy through a third array.",
    )
  }
  queueOperation(stream, copy, [to, from], false, ({ order, handle }) => {
    order.driver.memory.copyRows(to.rows, from.rows, to.rows.width, rows.height, handle)
  })
}

/**
 * Copies rows of a typed array, which has been read when this returns.
 *
 * @param length the number of elements in the source
 */
export function uploadRows(
  destination: DeviceArray,
  source: Uint8Array,
  length: number,
  shape: CopyShape,
  stream: StreamState,
): void {
  const rows = checkShape(shape, destination, length)
  if (rows === undefined) return
  const size = elementsOf(destination.dtype).byteLength
  if (rows.height === 1) {
    const { buffer, byteOffset } = source
    const elements = elementsOf(destination.dtype).view(buffer, byteOffset, rows.width)
    destination.subarray(0, rows.width).copyFrom(elements)
    return
  }
  stream.enter()
  const to = placeOf(destination, rows.pitch, rows)
  const staged = stage(source, size, rows, stream.order)
  try {
    queueOperation(stream, upload, [to], false, (target) => {
      const { width } = to.rows
      const source = new IndirectUses()
      source.add(staged, "read")
      prepare(target, source, source.spans)
      const { memory } = target.order.driver
      memory.copyRows(to.rows, { address: staged.address, pitch: width }, width, rows.height, target.handle)
      return source
    })
  } finally {
    // The queued copy keeps the memory; in a capture, the graph does.
    staged.allocation.dispose()
  }
}

/** Copies the rows into pinned memory, without gaps. */
function stage(source: Uint8Array, size: number, rows: Rows, order: DeviceOrder) {
  const width = rows.width * size
  const memory = order.allocate(() => order.driver.memory.allocatePinned(width * rows.height, true))
  const packed = new Uint8Array(memory.buffer, memory.byteOffset, width * rows.height)
  for (let row = 0; row < rows.height; row++) {
    const begin = row * rows.sourcePitch * size
    packed.set(source.subarray(begin, begin + width), row * width)
  }
  return { allocation: new PinnedAllocation(order, memory), address: memory.address, byteLength: packed.length }
}

/** Fills rows with a value that has been checked. */
export function fillRows(array: DeviceArray, value: number | bigint, shape: RowsShape, stream: StreamState): void {
  const rows = checkShape(shape, array)
  if (rows === undefined) return
  const { width, height } = rows
  if (height === 1) return array.subarray(0, width).fillChecked(value)
  const place = placeOf(array, rows.pitch, rows)
  queueOperation(stream, fill, [place], false, ({ order, handle }) => {
    const element = elementsOf(array.dtype).encode(value)
    order.driver.memory.fillRows(place.rows, element, width, height, handle)
  })
}

/**
 * Checks a shape.
 *
 * @param sourceLength the length of the source, for a copy.
 * @returns undefined if the rows have no elements
 */
function checkShape(shape: CopyShape, destination: AnyArray, sourceLength?: number): Rows | undefined {
  if (typeof shape !== "object" || shape === null) throw mustBe("shape", "an object such as { width, height }", shape)
  checkOptions(shape, "shape", sourceLength === undefined ? rowsNames : copyNames)
  const { width, height, pitch = width, sourcePitch = width } = shape
  checkInteger(width, "width", 0, Number.MAX_SAFE_INTEGER)
  checkInteger(height, "height", 0, Number.MAX_SAFE_INTEGER)
  checkInteger(pitch, "pitch", width, Number.MAX_SAFE_INTEGER)
  checkInteger(sourcePitch, "sourcePitch", width, Number.MAX_SAFE_INTEGER)
  if (width === 0 || height === 0) return undefined
  checkInside("destination", destination.length, width, height, pitch)
  if (sourceLength !== undefined) checkInside("source", sourceLength, width, height, sourcePitch)
  const isDense = height === 1 || (pitch === width && sourcePitch === width)
  if (isDense) return { width: width * height, height: 1, pitch: 0, sourcePitch: 0 }
  const most = Math.floor(destination.device.driver.properties.maxPitch / elementsOf(destination.dtype).byteLength)
  checkInteger(pitch, "pitch", width, most)
  checkInteger(sourcePitch, "sourcePitch", width, most)
  return { width, height, pitch, sourcePitch }
}

function checkInside(what: string, length: number, width: number, height: number, pitch: number): void {
  const needed = (height - 1) * pitch + width
  if (needed <= length) return
  throw new AuxstreamError(
    "AUX_OUT_OF_RANGE",
    `The ${what} must have at least ${needed} elements for ${height} rows of ${width}, ${pitch} apart; got ${length}. ` +
      "Copy or fill fewer rows, or a narrower part of them.",
  )
}

function placeOf(array: AnyArray, pitch: number, { width, height }: Rows): Place {
  const { allocation, address, dtype } = array
  const size = elementsOf(dtype).byteLength
  const rows = { address, width: width * size, pitch: pitch * size, rows: height }
  return { allocation, address, byteLength: (height - 1) * rows.pitch + rows.width, rows }
}

/** The first row only. */
function firstOf({ allocation, address, dtype }: AnyArray, { width }: Rows): Span {
  return { allocation, address, byteLength: width * elementsOf(dtype).byteLength }
}
