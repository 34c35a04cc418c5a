/** Reads and writes PNG pictures with 8 bits per channel: gray, gray with alpha, RGB, RGBA. No interlacing, no palette. */

import { constants, deflateSync, inflateSync } from "node:zlib"

/** A picture, row by row, with interleaved channels. */
export interface Picture {
  readonly width: number
  readonly height: number
  /** 1: gray, 2: gray and alpha, 3: RGB, 4: RGBA. */
  readonly channels: number
  /** width · height · channels bytes. */
  readonly data: Uint8Array
}

/** Why a file is not a readable picture. */
export class PngError extends Error {}

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const channelsOfColorType = new Map([
  [0, 1],
  [2, 3],
  [4, 2],
  [6, 4],
])
const colorTypeOfChannels = new Map([...channelsOfColorType].map(([type, channels]) => [channels, type]))
/** The limit of a picture's size, because a small file can claim any size. */
const most = { side: 2 ** 16, bytes: 2 ** 28 }

/** @throws PngError with the reason */
export function readPng(file: Uint8Array): Picture {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  if (!bytes.subarray(0, signature.length).equals(signature)) throw new PngError("it is not a PNG file")
  let header: Omit<Picture, "data"> | undefined
  const compressed: Buffer[] = []
  for (const { type, data } of chunks(bytes)) {
    if (type === "IHDR") header = readHeader(data)
    if (type === "IDAT") compressed.push(data)
  }
  if (header === undefined) throw new PngError("its header is missing")
  const rowBytes = header.width * header.channels
  const filtered = inflate(Buffer.concat(compressed), header.height * (rowBytes + 1))
  return { ...header, data: unfilter(filtered, rowBytes, header.channels) }
}

function* chunks(file: Buffer): Generator<{ type: string; data: Buffer }> {
  for (let at = signature.length; ;) {
    if (at + 12 > file.length) throw new PngError("it ends too early")
    const length = file.readUInt32BE(at)
    const end = at + 8 + length
    if (end + 4 > file.length) throw new PngError("it ends too early")
    const type = file.toString("latin1", at + 4, at + 8)
    if (crc32(file.subarray(at + 4, end)) !== file.readUInt32BE(end)) throw new PngError(`its ${type} part is damaged`)
    if (type === "IEND") return
    yield { type, data: file.subarray(at + 8, end) }
    at = end + 4
  }
}

function readHeader(data: Buffer): Omit<Picture, "data"> {
  if (data.length !== 13) throw new PngError("its header is damaged")
  const [width, height] = [data.readUInt32BE(0), data.readUInt32BE(4)]
  const [depth, colorType, , , interlaced] = data.subarray(8)
  const channels = channelsOfColorType.get(colorType ?? -1)
  if (channels === undefined) throw new PngError("it has a palette; only gray, RGB and RGBA pictures can be read")
  if (depth !== 8) throw new PngError(`it has ${depth} bits per channel; only 8 can be read`)
  if (interlaced !== 0) throw new PngError("it is interlaced; only pictures stored row by row can be read")
  if (width === 0 || height === 0) throw new PngError(`it is ${width} × ${height} pixels large`)
  if (Math.max(width, height) > most.side || width * height * channels > most.bytes) {
    throw new PngError(`its ${width} × ${height} pixels are too many`)
  }
  return { width, height, channels }
}

function inflate(compressed: Buffer, length: number): Buffer {
  let bytes: Buffer | undefined
  try {
    bytes = inflateSync(compressed, { maxOutputLength: length, finishFlush: constants.Z_SYNC_FLUSH })
  } catch {
    throw new PngError("its compressed data is damaged")
  }
  if (bytes.length < length) throw new PngError("it ends too early")
  return bytes
}

/** Each row names the predictor that was used: from the pixels to the left, above, and above left. */
function unfilter(filtered: Buffer, rowBytes: number, channels: number): Uint8Array {
  const height = filtered.length / (rowBytes + 1)
  const data = new Uint8Array(height * rowBytes)
  for (let row = 0; row < height; row++) {
    const predict = predictors[filtered[row * (rowBytes + 1)] ?? -1]
    if (predict === undefined) throw new PngError("its compressed data is damaged")
    const from = row * (rowBytes + 1) + 1
    const to = row * rowBytes
    for (let i = 0; i < rowBytes; i++) {
      data[to + i] = (filtered[from + i] ?? 0) + predict(...neighbours(data, to, i, rowBytes, channels))
    }
  }
  return data
}

type Neighbours = [left: number, above: number, aboveLeft: number]

function neighbours(data: Uint8Array, row: number, i: number, rowBytes: number, channels: number): Neighbours {
  const hasLeft = i >= channels
  const at = row + i
  // Above the first row, the indices are negative and the pixels count as 0.
  return [
    hasLeft ? (data[at - channels] ?? 0) : 0,
    data[at - rowBytes] ?? 0,
    hasLeft ? (data[at - rowBytes - channels] ?? 0) : 0,
  ]
}

const predictors: readonly ((...neighbours: Neighbours) => number)[] = [
  () => 0,
  (left) => left,
  (_left, above) => above,
  (left, above) => (left + above) >> 1,
  paeth,
]

/** Paeth's predictor: the neighbour that is nearest to left + above - aboveLeft. */
function paeth(left: number, above: number, aboveLeft: number): number {
  const toLeft = Math.abs(above - aboveLeft)
  const toAbove = Math.abs(left - aboveLeft)
  const toAboveLeft = Math.abs(left + above - 2 * aboveLeft)
  if (toLeft <= toAbove && toLeft <= toAboveLeft) return left
  return toAbove <= toAboveLeft ? above : aboveLeft
}

/** Encodes a picture. */
export function writePng({ width, height, channels, data }: Picture): Buffer {
  const colorType = colorTypeOfChannels.get(channels)
  if (colorType === undefined || data.length !== width * height * channels) {
    throw new PngError(`${data.length} bytes are no picture of ${width} × ${height} pixels and ${channels} channels`)
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, colorType], 8)
  const compressed = deflateSync(filter(data, width * channels, channels), { level: 9 })
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", compressed), chunk("IEND", Buffer.alloc(0))])
}

/** Predicts every row by Paeth's predictor, the best for photographs. */
function filter(data: Uint8Array, rowBytes: number, channels: number): Buffer {
  const height = data.length / rowBytes
  const filtered = Buffer.alloc(height * (rowBytes + 1))
  for (let row = 0; row < height; row++) {
    const from = row * rowBytes
    const to = row * (rowBytes + 1)
    filtered[to] = predictors.indexOf(paeth)
    for (let i = 0; i < rowBytes; i++) {
      filtered[to + 1 + i] = (data[from + i] ?? 0) - paeth(...neighbours(data, from, i, rowBytes, channels))
    }
  }
  return filtered
}

function chunk(type: string, data: Buffer): Buffer {
  const bytes = Buffer.alloc(data.length + 12)
  bytes.writeUInt32BE(data.length, 0)
  bytes.write(type, 4, "latin1")
  bytes.set(data, 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(4, data.length + 8)), data.length + 8)
  return bytes
}

const crcOfByte = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1
  return crc
})

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crcOfByte[(crc ^ byte) & 255] ?? 0) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}
