/** Runs the commands that copy rows and fill memory. `layout.ts` describes their words. */
import { wordAt } from "../control/layout.js"
import type { DeviceMemory } from "../control/memory.js"

/** Runs a copy of rows. */
export function copyRows(memory: DeviceMemory, words: Int32Array, read: number): void {
  const destination = wordAt(words, read + 1) >>> 0
  const source = wordAt(words, read + 2) >>> 0
  const width = wordAt(words, read + 3) >>> 0
  const rows = wordAt(words, read + 4) >>> 0
  const pitch = wordAt(words, read + 5) >>> 0
  const sourcePitch = wordAt(words, read + 6) >>> 0
  const last = rows - 1
  const bytes = memory.reaching(Math.max(destination + last * pitch, source + last * sourcePitch) + width)
  for (let row = 0; row < rows; row++) {
    const from = source + row * sourcePitch
    bytes.copyWithin(destination + row * pitch, from, from + width)
  }
}

/** Runs a fill of `rows` rows, which begin `pitch` bytes apart. */
export function fill(memory: DeviceMemory, words: Int32Array, read: number, rows: number, pitch: number): void {
  const destination = wordAt(words, read + 1) >>> 0
  const size = wordAt(words, read + 2)
  const low = wordAt(words, read + 3)
  const high = wordAt(words, read + 4)
  const count = wordAt(words, read + 5) >>> 0
  const byteLength = (rows - 1) * pitch + size * count
  const { buffer } = memory.reaching(destination + byteLength)
  if (low === 0 && high === 0) each(new Uint8Array(buffer, destination, byteLength), 0, size * count, rows, pitch)
  else if (size === 1) each(new Uint8Array(buffer, destination, byteLength), low, count, rows, pitch)
  else if (size === 2) each(new Uint16Array(buffer, destination, byteLength / 2), low, count, rows, pitch / 2)
  else if (size === 4) each(new Int32Array(buffer, destination, byteLength / 4), low, count, rows, pitch / 4)
  else if (low === high) each(new Int32Array(buffer, destination, byteLength / 4), low, count * 2, rows, pitch / 4)
  else {
    const value = (BigInt(high) << 32n) | BigInt(low >>> 0)
    const elements = new BigInt64Array(buffer, destination, byteLength / 8)
    for (let row = 0; row < rows; row++) elements.fill(value, (row * pitch) / 8, (row * pitch) / 8 + count)
  }
}

/** Fills rows of `count` elements. */
function each(
  elements: Uint8Array | Uint16Array | Int32Array,
  value: number,
  count: number,
  rows: number,
  pitch: number,
) {
  for (let row = 0; row < rows; row++) elements.fill(value, row * pitch, row * pitch + count)
}
