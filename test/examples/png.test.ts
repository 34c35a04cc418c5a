import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { deflateSync } from "node:zlib"
import * as fc from "fast-check"
import { PngError, readPng, writePng, type Picture } from "../../examples/image-pipeline/png.js"

const pictures: fc.Arbitrary<Picture> = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.constantFrom(1, 2, 3, 4))
  .chain(([width, height, channels]) => {
    const length = width * height * channels
    return fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((data): Picture => ({ width, height, channels, data }))
  })

/** Writes a picture like other programs: with the given filter for each row, split into two IDAT parts. */
function encode({ width, height, channels, data }: Picture, filterOf: (row: number) => number): Buffer {
  const rowBytes = width * channels
  const rows: number[] = []
  for (let row = 0; row < height; row++) {
    const filter = filterOf(row)
    rows.push(filter)
    for (let i = 0; i < rowBytes; i++) {
      const at = (x: number, y: number) => (x < 0 || y < 0 ? 0 : (data[y * rowBytes + x] ?? 0))
      const [left, above, corner] = [at(i - channels, row), at(i, row - 1), at(i - channels, row - 1)]
      const nearest = [left, above, corner].toSorted(
        (a, b) => Math.abs(left + above - corner - a) - Math.abs(left + above - corner - b),
      )
      const predicted = [0, left, above, Math.floor((left + above) / 2), nearest[0] ?? 0][filter] ?? 0
      rows.push((at(i, row) - predicted) & 255)
    }
  }
  const compressed = deflateSync(Buffer.from(rows))
  const middle = Math.floor(compressed.length / 2)
  return file(
    part("IHDR", headerOf(width, height, { colorType: [0, 0, 4, 2, 6][channels] ?? 0 })),
    part("tEXt", Buffer.from("Comment\0ignored")),
    part("IDAT", compressed.subarray(0, middle)),
    part("IDAT", compressed.subarray(middle)),
    part("IEND"),
  )
}

function headerOf(width: number, height: number, { depth = 8, colorType = 2, interlaced = 0 } = {}): Buffer {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, depth, colorType, 0, 0, interlaced])
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  return header
}

function part(type: string, data: Uint8Array = new Uint8Array()): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data])
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  check.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, check])
}

function file(...parts: Buffer[]): Buffer {
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...parts])
}

/** The checksum bit by bit, as defined. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffffn
  for (const byte of bytes) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = crc % 2n === 1n ? (crc >> 1n) ^ 0xedb88320n : crc >> 1n
  }
  return Number(crc ^ 0xffffffffn)
}

describe("the PNG files of the image pipeline", () => {
  test("are read as they were written", () => {
    fc.assert(fc.property(pictures, (picture) => assert.deepEqual(readPng(writePng(picture)), picture)))
  })

  test("of other programs are read: every filter, several parts, ignorable parts", () => {
    fc.assert(
      fc.property(
        pictures,
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 9, maxLength: 9 }),
        (picture, filters) => assert.deepEqual(readPng(encode(picture, (row) => filters[row] ?? 0)), picture),
      ),
    )
  })

  test("give a picture or an error with a reason if damaged, and never crash", () => {
    const good = writePng({ width: 4, height: 3, channels: 3, data: new Uint8Array(36).fill(7) })
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, change, cut) => {
        const bad = Buffer.from(good)
        bad[at] = (bad[at] ?? 0) ^ change
        assert.throws(() => readPng(cut ? good.subarray(0, at) : bad), PngError)
      }),
    )
  })

  const data = part("IDAT", deflateSync(new Uint8Array(7)))
  const refused: [string, Buffer, RegExp][] = [
    ["a palette", file(part("IHDR", headerOf(1, 1, { colorType: 3 })), data, part("IEND")), /palette/],
    ["16 bits", file(part("IHDR", headerOf(1, 1, { depth: 16 })), data, part("IEND")), /16 bits/],
    ["interlacing", file(part("IHDR", headerOf(1, 1, { interlaced: 1 })), data, part("IEND")), /interlaced/],
    ["no pixels", file(part("IHDR", headerOf(0, 1)), data, part("IEND")), /0 × 1/],
    ["more pixels than memory", file(part("IHDR", headerOf(65536, 65536)), data, part("IEND")), /too many/],
    ["too few rows", file(part("IHDR", headerOf(1, 9)), data, part("IEND")), /too early/],
    ["more rows than it says", file(part("IHDR", headerOf(1, 1)), data, part("IEND")), /damaged/],
    ["no header", file(data, part("IEND")), /header/],
    ["no end", file(part("IHDR", headerOf(1, 1)), data), /too early/],
    ["a short header", file(part("IHDR", Buffer.alloc(3)), data, part("IEND")), /header/],
  ]
  for (const [what, bytes, reason] of refused) {
    test(`are refused with a reason: ${what}`, () => {
      assert.throws(() => readPng(bytes), reason)
      assert.throws(() => readPng(bytes), PngError)
    })
  }
})
